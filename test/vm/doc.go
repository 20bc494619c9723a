// Package vm runs the agent in a virtual machine with a real kernel of Debian,
// where tests can build and break arrays, bonds and paths. Its tests need the
// build tag "live", root and the packages qemu-system-x86, busybox-static,
// mdadm, dmsetup and btrfs-progs. Nothing of the machine touches the host.
package vm
