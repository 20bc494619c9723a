#!/bin/sh
set -e
if ! getent group hygiene_exporter >/dev/null; then
	groupadd --system hygiene_exporter
fi
if ! getent passwd hygiene_exporter >/dev/null; then
	useradd --system --gid hygiene_exporter --no-create-home --home-dir /var/lib/hygiene_exporter \
		--shell /usr/sbin/nologin hygiene_exporter
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
