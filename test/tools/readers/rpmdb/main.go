// The program rpmdb prints the packages of a database of rpm in the formats ndb
// and Berkeley DB: a second reader beside the one of the agent.
package main

import (
	"fmt"
	"log"
	"os"

	rpmdb "github.com/knqyf263/go-rpmdb/pkg"
)

func main() {
	db, err := rpmdb.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	packages, err := db.ListPackages()
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range packages {
		fmt.Printf("%s %d %s %s %s %d %s\n", p.Name, p.EpochNum(), p.Version, p.Release, p.Arch, p.InstallTime, p.SourceRpm)
	}
}
