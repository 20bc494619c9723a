// Package updates is the one model of pending updates. A reader of a family of
// package managers fills it in from files, and knows neither deadlines nor
// metrics; the probe derives class, age and deadlines in the same way for all
// of them.
package updates

import (
	"context"
	"time"
)

// A Reader reads the files of one family of package managers. It keeps what it
// needs to do nothing when they are unchanged, takes no lock, writes nothing
// and runs no package manager. It is used by one goroutine at a time.
type Reader interface {
	// Read returns what the files say. A host without such a package manager
	// is probes.ErrNotApplicable. Any other error means that nothing could be
	// told, and is a fault of the returned Name, which must be set then too.
	Read(ctx context.Context) (Manager, error)
}

// A Manager is a package manager: what it has installed and where it looks for
// updates.
type Manager struct {
	Name         string // the object in metrics, such as "apt" or "dnf"
	Repositories []Repository
	Updates      []Update
	// Incomplete says what could not be read, so that there may be more
	// updates than are listed. Each error is a fault of the manager.
	Incomplete []error
	// SecurityKnown says whether the metadata can tell security updates from
	// others. Without it every update is of class Other.
	SecurityKnown bool
	// Busy says whether the package manager is at work now.
	Busy Truth
	// LastUpgrade is when it last finished an upgrade of packages; zero if unknown.
	LastUpgrade time.Time
	Automatic   Automatic
	// Reboots lists the installed packages that take effect only by a reboot.
	Reboots []Change
	// Compare orders two versions as the package manager does.
	Compare func(a, b string) int
	// Notes are lines for a person who asks what was read and decided.
	Notes []string
	// Installed describes any installed package for explain, in lines: what is
	// installed, which candidates there are, and why it is or is not updated.
	// It may be nil. Packages lists the names it knows.
	Installed func(name string) []string
	Packages  func() []string
}

// A Change is a package after whose installation its publisher wants a reboot.
type Change struct {
	Package string
	At      time.Time // when it was installed
	Why     string
}

// A Repository is a place that updates come from. Its object in metrics is
// <manager>/<name>.
type Repository struct {
	Name       string    // stable, without credentials, such as "deb.example.org/debian/bookworm"
	Refreshed  time.Time // last successful refresh, also one that found nothing new; zero if never or unknown
	Traceless  bool      // whether a refresh may leave no trace, so that Refreshed is at best a guess and nothing is due
	Published  time.Time // when the publisher made the metadata; zero if it does not say
	ValidUntil time.Time // when the publisher says that it must not be used any more
	Archive    bool      // whether it is an archive of security updates, which is published often as long as anybody maintains it
	Err        error     // why its metadata could not be read; a fault of the repository
	Notes      []string  // lines for explain
}

// An Update is an installed package of which a newer version exists. Where the
// package manager would not install it, State says why.
type Update struct {
	Package   string // as the package manager names it, such as "libc6:i386"
	Installed string
	Candidate string
	State     State
	// Releases are the newer versions that the metadata knows, up to the
	// candidate, in any order. The update is a security update when one of them
	// is, even if a later one that is none has superseded it.
	Releases []Release
	Notes    []string // lines for explain: why it is held, phased, kept back
}

// A Release is one version that is newer than what is installed.
type Release struct {
	Version  string
	Security bool
	Advisory Advisory // of a security release
	// Available is an instant at which the version is proven to have been
	// published already; zero if there is no proof.
	Available time.Time
	Evidence  string // one line for explain: archive, file, dates, advisory
}

// Automatic says whether the host installs updates by itself.
type Automatic struct {
	Enabled     Truth
	LastSuccess time.Time // zero if never or unknown
	Notes       []string
}

// A State says whether the package manager would install an update now.
type State string

// The states of an update.
const (
	Pending     State = "pending"      // it would
	Held        State = "held"         // somebody has forbidden it: hold, pin, exclude, lock
	Phased      State = "phased"       // the publisher rolls it out, and this host is not yet in
	KeptBack    State = "kept_back"    // its dependencies do not permit it
	NotEntitled State = "not_entitled" // it needs a subscription that the host does not have
)

// States lists the closed set.
func States() []string {
	return []string{string(Pending), string(Held), string(Phased), string(KeptBack), string(NotEntitled)}
}

// A Class says what an update is for.
type Class string

// The classes of updates.
const (
	Security Class = "security"
	Other    Class = "other"
)

// Classes lists the closed set.
func Classes() []string { return []string{string(Security), string(Other)} }

// An Advisory is how severe a publisher rates what a security update repairs.
type Advisory string

// The ratings, worst first. The empty Advisory is Unrated.
const (
	Critical  Advisory = "critical"
	Important Advisory = "important"
	Moderate  Advisory = "moderate"
	Low       Advisory = "low"
	Unrated   Advisory = "unrated"
)

// Advisories lists the closed set, worst first.
func Advisories() []string {
	return []string{string(Critical), string(Important), string(Moderate), string(Low), string(Unrated)}
}

// A Truth is known or not.
type Truth int8

// The three values.
const (
	Unknown Truth = iota
	No
	Yes
)

// TruthOf returns Yes or No.
func TruthOf(value bool) Truth {
	if value {
		return Yes
	}
	return No
}
