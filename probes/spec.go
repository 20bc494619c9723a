package probes

import "regexp"

// A Spec is the static description of a kind of probe. Its section of the
// configuration file, its self metrics, its reference and its conformance tests
// follow from it.
type Spec struct {
	Name    string    // key in the configuration and second word of every metric
	Summary string    // one line for the reference
	Metrics []*Metric // every family that the probe can emit
	Config  func() Config

	// Commands lists every program that the probe may run. It is also the list
	// compiled into the root helper, which runs nothing else.
	Commands []Command
}

// A Config is a probe's section of the configuration file. The constructor in
// Spec sets all defaults; decoding is strict; Validate is called once, and
// returns all its complaints joined, each made with At.
type Config interface {
	Common() *Settings
	Validate() error
	// New builds the probe. It has no side effects: it touches neither the
	// host nor the state.
	New(host Host) (Probe, error)
}

// A Command is one program that a probe may run, and all it may say to it.
type Command struct {
	Entry string   // the name by which a probe asks for it, such as "zpool-status"
	Argv  []string // program and arguments; {0}, {1}… stand for the objects
	Help  string   // one sentence for the reference: what is read, and from where

	// Objects holds a pattern for each object; the whole object must match.
	Objects []*regexp.Regexp

	// Through is what starts the program, with its arguments, such as xargs. The
	// command is known by the program all the same, and a wrapper replaces only
	// that.
	Through []string

	// Secrets are what the program finds in its environment and nobody in its
	// arguments: by the name of the variable, the path of the file that holds its
	// value, with {0} and so on for the objects. The agent reads the file itself,
	// without the line end behind it, so that a privileged command has none.
	Secrets map[string]string

	// Environment is the object, such as {1}, whose lines NAME=value the program finds
	// in its environment, and nobody in its arguments or in an error. Its pattern says
	// which names there may be.
	Environment string

	// Privileged commands go to the root helper where one is installed.
	Privileged bool
}
