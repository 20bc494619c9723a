# Software RAID whose metadata are those of a controller, in containers, and
# arrays whose number of members changes.
l() { for i; do echo /dev/mapper/l$i; done; }
# attempt STEP ARRAY: see whether it works
attempt() {
	rm -f /tmp/outcome
	{ works $2 && echo "@@ works $1 $2" >/tmp/tried || echo "@@ broken $1 $2" >/tmp/tried; mv /tmp/tried /tmp/outcome; } &
	until_true "[ -f /tmp/outcome ]"; cat /tmp/outcome
}

config ""
ip link set lo up
export IMSM_NO_PLATFORM=1 IMSM_DEVNAME_AS_SERIAL=1
disks 21 48
n="--assume-clean --bitmap=none --chunk=64 --size=24M --data-offset=4M --level=5"
create md5 $n --raid-devices=3 $(l 9 10 11)
create md6 $n --raid-devices=4 $(l 17 18 19 20)
create md7 $n --raid-devices=3 $(l 13 14 15)
try mdadm /dev/md5 --add $(l 12)
try mdadm /dev/md7 --add $(l 16)
try mdadm --create /dev/md127 --run --metadata=ddf --raid-devices=5 $(l 0 1 2 3 4)
# The arrays fill their disks, for a container gives free space to an array that lost a disk.
try mdadm --create /dev/md11 --run --level=1 --raid-devices=2 $(l 0 1)
try mdadm --create /dev/md15 --run --level=5 --chunk=64 --raid-devices=3 $(l 2 3 4)
try mdadm --create /dev/md126 --run --metadata=imsm --raid-devices=3 $(l 5 6 7)
try mdadm --create /dev/md25 --run --level=5 --size=7M --chunk=64 --raid-devices=3 $(l 5 6 7)
idle md11; idle md15; idle md25
agent
facts whole; tree containers-whole
problems whole

# Members more and less, and what is broken on the way
slow
try mdadm --grow /dev/md6 --array-size=48M
try mdadm --grow /dev/md5 --raid-devices=4
try mdadm --grow /dev/md6 --raid-devices=3 --backup-file=/tmp/backup
try mdadm --grow /dev/md7 --raid-devices=4
until_true "grep -q reshape /sys/block/md5/md/sync_action && grep -q reshape /sys/block/md6/md/sync_action && grep -q reshape /sys/block/md7/md/sync_action"
facts reshaping; tree containers-reshaping
problems reshaping
broken 14; fast; attempt 3 md7
idle md5; idle md6; idle md7
facts reshaped; tree containers-reshaped
problems reshaped
broken 15; attempt 4 md7
broken 9; attempt 4 md5
facts "broken 4"
broken 10; attempt 5 md5
facts "broken 5"

# One member of every array of a container. Only what is in it is degraded.
for set in md25:5 md11:0 md15:2; do broken ${set#*:}; attempt 1 ${set%%:*}; done
facts "broken 1"; tree containers-degraded
problems "broken 1"
for set in md25:6 md11:1 md15:3; do broken ${set#*:}; attempt 2 ${set%%:*}; done
facts "broken 2"
