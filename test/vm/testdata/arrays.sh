# Software RAID of every level: what it survives is proven by breaking members
# until nothing is left, and what the agent says on the way is kept.
l() { for i; do echo /dev/mapper/l$i; done; }
# attempt STEP: break a member of every array, in the order in which it hurts most
attempt() {
	for set in $levels; do
		array=${set%%:*} members=${set#*:}
		broken $(echo $members | cut -d, -f$1)
		works $array && echo "@@ works $1 $array" || echo "@@ broken $1 $array"
	done
	facts "broken $1"; [ $1 = 1 ] || tree arrays-broken-$1
}

config ""
ip link set lo up
disks 44 14
s="--assume-clean --bitmap=none --size=7M"
create md101 $s --level=1 --raid-devices=3 $(l 0 1 2)
create md104 $s --level=4 --raid-devices=3 $(l 3 4 5)
create md105 $s --level=5 --raid-devices=4 $(l 6 7 8 9)
create md106 $s --level=6 --raid-devices=5 $(l 10 11 12 13 14)
create md110 $s --level=10 --layout=n2 --raid-devices=4 $(l 15 16 17 18)
create md111 $s --level=10 --layout=f2 --raid-devices=3 $(l 19 20 21)
create md112 $s --level=10 --layout=o2 --raid-devices=4 $(l 22 23 24 25)
create md113 $s --level=10 --layout=n3 --raid-devices=5 $(l 26 27 28 29 30)
create md100 --level=0 --raid-devices=2 $(l 31 32)
create md114 --level=linear --raid-devices=2 $(l 33 34)
create md1 --assume-clean --bitmap=internal --size=7M --level=1 --raid-devices=2 /dev/mapper/l35 --write-mostly /dev/mapper/l36
try mdadm /dev/md1 --add /dev/mapper/l37
create md5 --size=7M --level=5 --raid-devices=3 --write-journal /dev/mapper/l41 /dev/mapper/l38 /dev/mapper/l39 /dev/mapper/l40
levels="md101:0,1,2 md104:3,4 md105:6,7 md106:10,11,12 md110:15,16 md111:19,20 md112:22,23 md113:26,27,28 md100:31 md114:33"
idle md5
agent
facts whole; tree arrays-whole
problems whole
attempt 1; problems "broken 1"
attempt 2; attempt 3
problems "broken 3"
for set in $levels; do try mdadm --stop /dev/${set%%:*}; done
facts stopped
# the agent is told that they are gone for good
for set in $levels; do hygiene_exporter --state.dir=/run/state baseline accept mdraid/${set%%:*} || fail accept; done
facts accepted
problems accepted

# The life of a mirror: a disk fails, the spare takes over, the disk is replaced, all is checked.
slow
try mdadm /dev/md1 --fail /dev/mapper/l35
facts rebuilding; tree arrays-rebuilding
problems rebuilding
fast; idle md1
facts rebuilt; tree arrays-spare-used
problems rebuilt
try mdadm /dev/md1 --remove /dev/mapper/l35
try mdadm /dev/md1 --add /dev/mapper/l35
facts "spare back"
slow
try mdadm /dev/md1 --replace /dev/mapper/l36 --with /dev/mapper/l35
facts replacing; tree arrays-replacing
fast; idle md1
facts replaced
try mdadm /dev/md1 --remove /dev/mapper/l36
put check /sys/block/md1/md/sync_action; idle md1
facts checked
# A crash of the journal, and a check that waits for another
try mdadm /dev/md5 --fail /dev/mapper/l41
facts "journal failed"; tree arrays-journal-failed
# An array that is not assembled
try mdadm --stop /dev/md5
mdadm --assemble --no-degraded /dev/md5 /dev/mapper/l38 /dev/mapper/l39 >/dev/null 2>&1
facts "not assembled"; tree arrays-not-assembled
problems "not assembled"
