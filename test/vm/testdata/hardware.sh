# Controllers of RAID that have no tool: the kernel has bound their drivers.
config ""
echo "    tools: [{name: storcli, every: 1s}, {name: mpt-status, every: 1s}]" >>/etc/agent/config.yml
/sbin/ip link set lo up
until_true "ls /sys/bus/pci/drivers/megaraid_sas | grep -q ^0000: && ls /sys/bus/pci/drivers/mptsas | grep -q ^0000:"
agent
facts "no tool"
problems "no tool"
echo $(ls /sys/bus/pci/drivers/megaraid_sas | grep ^0000:) >/sys/bus/pci/drivers/megaraid_sas/unbind
facts "unbound"
problems "unbound"
