# Controllers of RAID that have no tool: the kernel has bound their drivers.
config ""
/sbin/ip link set lo up
until_true "ls /sys/bus/pci/drivers/megaraid_sas | grep -q ^0000: && ls /sys/bus/pci/drivers/mptsas | grep -q ^0000:"
agent
facts "no tool"
problems "no tool"
echo $(ls /sys/bus/pci/drivers/megaraid_sas | grep ^0000:) >/sys/bus/pci/drivers/megaraid_sas/unbind
facts "unbound"
problems "unbound"
