package certificate

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"hygiene_exporter/probes/probetest"
)

// manyFiles writes leaves of one issuer, each in a file with it.
func manyFiles(b *testing.B, root string, n int) {
	b.Helper()
	made := func(template, issuer *x509.Certificate) []byte {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(90*day)
		der, err := x509.CreateCertificate(rand.Reader, template, issuer, testKey.Public(), testKey)
		if err != nil {
			b.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	top := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true}
	issuer := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "issuer"}, IsCA: true, BasicConstraintsValid: true}
	chain := made(issuer, top)
	for i := range n {
		name := fmt.Sprintf("host%d.example.org", i)
		leaf := made(&x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 10)), Subject: pkix.Name{CommonName: name},
			DNSNames: []string{name, "www." + name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}, issuer)
		writeFile(b, filepath.Join(root, "s", fmt.Sprintf("%03d", i/100), fmt.Sprintf("%d.pem", i)), append(leaf, chain...))
	}
}

// manyStores writes copies of the stores that real programs made.
func manyStores(b *testing.B, root string, n int) {
	b.Helper()
	for i := range n {
		name := []string{"web.p12", "legacy.pfx", "web.jks", "web.jceks", "modern.jks"}[i%5]
		data, err := os.ReadFile("testdata/stores/" + name)
		if err != nil {
			b.Fatal(err)
		}
		writeFile(b, filepath.Join(root, "s", fmt.Sprintf("%03d", i/100), fmt.Sprintf("%d-%s", i, name)), data)
	}
	writeFile(b, filepath.Join(root, "passwords"), []byte("secret\n"))
}

func writeFile(b *testing.B, path string, data []byte) {
	b.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkScan reports the first scan and the scan in which nothing has changed,
// per file, and the floor of the first: reading the files, and parsing the
// certificates with the standard library. The memory is what is kept.
func BenchmarkScan(b *testing.B) {
	for name, c := range map[string]struct {
		n    int
		make func(b *testing.B, root string, n int)
	}{"20000Files": {20_000, manyFiles}, "5000Stores": {5_000, manyStores}} {
		root := b.TempDir()
		c.make(b, root, c.n)
		config := defaultConfig()
		config.Sources = []Source{{Name: "many", Paths: []string{filepath.Join(root, "s")}}}
		if name == "5000Stores" {
			config.Sources[0].PasswordsFile = filepath.Join(root, "passwords")
		}
		fresh := func() *probe { return newProbe(config, (&probetest.World{Root: "/"}).Host()) }
		run := func(p *probe) {
			if result, err := p.Run(b.Context()); err != nil || len(result.Faults) > 0 {
				b.Fatal(err, result.Faults[:min(3, len(result.Faults))])
			}
		}
		b.Run(name+"/First", func(b *testing.B) {
			before := used()
			for b.Loop() {
				run(fresh())
			}
			perFile(b, c.n, before)
		})
		b.Run(name+"/Unchanged", func(b *testing.B) {
			before := kept()
			p := fresh()
			for range 10 { // until all are judged
				run(p)
				for _, f := range p.files {
					f.trusted = true
				}
			}
			start := used()
			for b.Loop() {
				run(p)
			}
			perFile(b, c.n, start)
			b.ReportMetric(float64(kept()-before)/float64(c.n), "B-kept/file")
			runtime.KeepAlive(p)
		})
		b.Run(name+"/Floor", func(b *testing.B) {
			before := used()
			for b.Loop() {
				floor(b, filepath.Join(root, "s"))
			}
			perFile(b, c.n, before)
		})
	}
}

// perFile reports the processor time that the loop took, which other programs do
// not disturb, and the collection of garbage with it.
func perFile(b *testing.B, n int, before time.Duration) {
	b.Helper()
	b.ReportMetric(float64((used()-before).Nanoseconds())/1000/float64(b.N*n), "cpu-us/file")
}

func used() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func kept() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// floor reads and parses, and does nothing else.
func floor(b *testing.B, dir string) {
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
			if _, err := x509.ParseCertificate(block.Bytes); err != nil {
				return err
			}
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
}
