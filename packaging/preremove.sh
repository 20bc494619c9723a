#!/bin/sh
set -e
# An upgrade (rpm: 1, deb: upgrade) keeps the units running.
case "$1" in
0 | remove)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now hygiene_exporter.service hygiene_exporter-helper.socket hygiene_exporter-helper.service || true
	fi
	;;
esac
