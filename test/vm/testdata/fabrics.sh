# Fibre Channel over Ethernet between interfaces of the machine, an enclosure, and
# RDMA over Ethernet. Two ports are initiators, and two those of a storage system.
tree() {
	capture $1 $(for h in /sys/class/fc_host/* /sys/class/fc_remote_ports/*; do for a in port_state port_name node_name roles; do echo $h/$a; done; done) \
		$(for p in /sys/class/infiniband/*/ports/*; do echo $p/state $p/phys_state $p/link_layer; done)
	(IFS=; for f in /sys/class/enclosure/*/id /sys/class/enclosure/*/*/type /sys/class/enclosure/*/*/status; do echo "@@ file ${f#/}"; sed 's/^/@@ data /' "$f"; done)
}
targets() { until_true "[ \$(grep -h 'FCP Target' /sys/class/fc_remote_ports/rport-[01]:*/roles | wc -l) = 4 ] && [ \$(grep -l Online /sys/class/fc_remote_ports/*/port_state | wc -l) = 12 ]"; }
config ""
ip link set lo up
ip link add san type bridge; ip link set san up
for i in 0 1 2 3; do
	ip link add v$i address 02:00:00:00:00:1$i type veth peer name p$i
	ip link set p$i master san; ip link set p$i up; ip link set v$i up
	put v$i /sys/bus/fcoe/ctlr_create
	put vn2vn /sys/bus/fcoe/devices/ctlr_$i/mode
done
disks 1 20
t=/sys/kernel/config/target
mkdir -p $t/core/iblock_0/disk
put udev_path=/dev/dm-0 $t/core/iblock_0/disk/control; put 1 $t/core/iblock_0/disk/enable
for i in 2 3; do
	port=$t/fc/20:00:02:00:00:00:00:1$i/tpgt_1
	mkdir -p $port/lun/lun_0; ln -s $t/core/iblock_0/disk $port/lun/lun_0/disk
	for j in 0 1; do
		acl=$port/acls/20:00:02:00:00:00:00:1$j/lun_0
		mkdir -p $acl; ln -s $port/lun/lun_0 $acl/disk
	done
done
for i in 0 1 2 3; do put 1 /sys/bus/fcoe/devices/ctlr_$i/enabled; done
targets

mkdir -p $t/core/user_0/enclosure
put "dev_config=enclosure,dev_size=4096,nl_reply_supported=-1" $t/core/user_0/enclosure/control; put 1 $t/core/user_0/enclosure/enable
mkfifo /tmp/elements; sleep 10000 >/tmp/elements &
enclosure uio0 </tmp/elements >/tmp/enclosure.log 2>&1 &
until_true "grep -q ready /tmp/enclosure.log"
e=$t/loopback/naa.5001405000000001/tpgt_1
mkdir -p $e; put naa.5001405000000002 $e/nexus; mkdir -p $e/lun/lun_0; ln -s $t/core/user_0/enclosure $e/lun/lun_0/enclosure
until_true "ls /sys/class/enclosure/*/id"

ip link add r0 type veth peer name r1; ip link set r0 up; ip link set r1 up
try rdma link add rxe0 type rxe netdev r0
agent
settled whole; tree fabrics-whole
problems whole

# The port of this host, a power supply, a disk, and the cable of RDMA
ip link set p0 down; ip link set r1 down
echo "power 1 2" >/tmp/elements; echo "bay 2 5" >/tmp/elements
until_true "grep -q Blocked /sys/class/fc_remote_ports/rport-0*/port_state"
settled "one of two"; tree fabrics-one-of-two
problems "one of two"

# An adapter that is not there any more, and a supply that was pulled
put v0 /sys/bus/fcoe/ctlr_destroy
echo "power 1 5" >/tmp/elements
until_true "! ls /sys/class/fc_host/host0"
restart
settled "silent loss"; tree fabrics-silent-loss
problems "silent loss"

ip link set p0 up; echo "power 1 1" >/tmp/elements; echo "bay 2 1" >/tmp/elements
put v0 /sys/bus/fcoe/ctlr_create
for i in /sys/bus/fcoe/devices/ctlr_*; do [ "$(cat $i/enabled)" = 1 ] || { put vn2vn $i/mode; put 1 $i/enabled; }; done
until_true "[ \$(grep -h 'FCP Target' /sys/class/fc_remote_ports/*/roles | wc -l) -ge 4 ] && ! grep -L Online /sys/class/fc_remote_ports/*/port_state | grep -q ."
settled back
problems back
