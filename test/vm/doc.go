// Package vm runs the agent in a virtual machine with a real kernel of Debian,
// where tests can build and break arrays, bonds and paths. Its tests need the
// build tag "live" and root; the systems in the machine are those of the host's
// packages. Nothing of the machine touches the host. The processor is emulated,
// so that no support of the hardware is needed.
//
// What the agent says after each step is kept in testdata/*.want, and what it
// read becomes a state in the tests of the probe: both are rewritten by -update,
// and read by a person before they are believed.
package vm
