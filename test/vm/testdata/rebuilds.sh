# Rebuilds in containers of DDF and IMSM, and arrays whose level changes. A program
# keeps the metadata of a container, takes its spare and starts the rebuild.
l() { for i; do echo /dev/mapper/l$i; done; }
whole() { until_true "[ \$(cat /sys/block/$1/md/degraded) = 0 ] && grep -q idle /sys/block/$1/md/sync_action"; }

config ""
ip link set lo up
export IMSM_NO_PLATFORM=1 IMSM_DEVNAME_AS_SERIAL=1
disks 16 36
try mdadm --create /dev/md127 --run --metadata=ddf --raid-devices=4 $(l 0 1 2 3)
try mdadm --create /dev/md15 --run --level=5 --chunk=64 --raid-devices=3 $(l 0 1 2)
try mdadm --create /dev/md126 --run --metadata=imsm --raid-devices=3 $(l 4 5 6)
try mdadm --create /dev/md25 --run --level=5 --size=16M --chunk=64 --raid-devices=3 $(l 4 5 6)
n="--assume-clean --bitmap=none --size=24M --data-offset=4M"
create md1 $n --level=1 --raid-devices=2 $(l 8 9)
create md5 $n --chunk=64 --level=5 --raid-devices=3 $(l 11 12 13)
whole md15; whole md25
# A spare of a container belongs to none of its arrays.
try mdadm --add /dev/md126 $(l 7)
agent
facts whole; tree rebuilds-whole
problems whole

# Where a member cannot be written, the metadata of IMSM note it, and the member stays.
broken 4; dd if=/dev/zero of=/dev/md25 bs=64k count=40 oflag=direct conv=fsync 2>/dev/null
until_true "[ -s /sys/block/md25/md/dev-dm-4/bad_blocks ]"
facts "bad blocks"; tree rebuilds-bad-blocks
problems "bad blocks"
mended 4

# A member of each container fails. Whoever keeps the metadata takes the spare.
slow
broken 0; dd if=/dev/zero of=/dev/md15 bs=64k count=4 oflag=direct conv=fsync 2>/dev/null
try mdadm /dev/md25 --fail $(l 4)
until_true "grep -q recover /sys/block/md15/md/sync_action && grep -q recover /sys/block/md25/md/sync_action"
facts rebuilding; tree rebuilds-rebuilding
problems rebuilding
fast; whole md15; whole md25
facts rebuilt; tree rebuilds-rebuilt
problems rebuilt

# Levels change: a mirror becomes a RAID 5, a RAID 5 a RAID 6, with a backup of what is moved.
try mdadm --grow /dev/md1 --level=5
try mdadm /dev/md1 --add $(l 10)
try mdadm /dev/md5 --add $(l 14)
facts "a level changed"
slow
try mdadm --grow /dev/md1 --raid-devices=3
try mdadm --grow /dev/md5 --level=6 --raid-devices=4 --backup-file=/tmp/backup5
until_true "grep -q reshape /sys/block/md1/md/sync_action && grep -q reshape /sys/block/md5/md/sync_action"
tree levels-change; whole md5
facts "levels change"
problems "levels change"
fast; whole md1; whole md5
facts "levels changed"; tree levels-changed
problems "levels changed"

# Arrays in a container of IMSM grow: more of each disk, and a disk more. For DDF
# mdadm can do neither.
! mdadm --grow /dev/md15 --size=max 2>/dev/null || fail "an array of DDF grows"
try mdadm /dev/md126 --remove $(l 4)
try mdadm --grow /dev/md25 --size=max
whole md25
try mdadm --add /dev/md126 $(l 15)
slow
try mdadm --grow /dev/md126 --raid-devices=4 --backup-file=/tmp/backup126
until_true "grep -q reshape /sys/block/md25/md/sync_action"
facts "a container grows"; tree container-grows
problems "a container grows"
fast; until_true "grep -q idle /sys/block/md25/md/sync_action && [ \$(cat /sys/block/md25/md/raid_disks) = 4 ]"
facts "a container has grown"; tree container-grown
problems "a container has grown"
broken 5; works md25 || fail "an array that should survive a failure does not"
facts "broken"
