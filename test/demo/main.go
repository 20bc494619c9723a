// Demo runs the whole line on loopback with a certificate that nobody renews,
// and prints what people are told, until it is interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"hygiene_exporter/test/stack"
)

const (
	overdueIn = 5 * time.Second
	life      = 12 * time.Minute // critical a minute and a half after overdue
)

// ladder is short, so that nobody has to wait for the management.
func ladder() []time.Duration {
	return []time.Duration{0, 20 * time.Second, 40 * time.Second}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "hygiene-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	certificate, err := stack.NewCertificate(filepath.Join(dir, "certificates"), "shop.pem")
	if err != nil {
		return err
	}
	if err := certificate.Renew(); err != nil {
		return err
	}
	fmt.Println("starting the agent, Prometheus and Alertmanager …")
	s, err := stack.New(ctx, stack.Options{
		Dir:   dir,
		Agent: stack.AgentConfig(filepath.Dir(certificate.Path), ladder()),
		Print: func(p stack.Page) { fmt.Println(describe(p)) },
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := certificate.OverdueIn(overdueIn, life); err != nil {
		return err
	}
	explain(s, certificate)
	<-ctx.Done()
	fmt.Println("\nending everything")
	return nil
}

func explain(s *stack.Stack, certificate stack.Certificate) {
	command := strings.Join(s.Command(), " ")
	fmt.Printf(`
  agent          http://%s
  Prometheus     http://%s/alerts
  Alertmanager   http://%s

The renewal of %s is overdue in %s. The tickets hear of it at once,
and again after %s and %s as long as nobody takes it. After %s more it is critical.
In another terminal you can

  see it    %s problems
  take it   %s ack EPISODE --for 30s --by $USER
  solve it  rm %s

and here you read what people are told. End with Ctrl-C.

`, s.Agent.Address, s.Prometheus.Address, s.Alertmanager.Address,
		certificate.Path, overdueIn, ladder()[1], ladder()[2], stack.UntilCritical(life)-ladder()[2],
		command, command, certificate.Path)
}

// describe prints a page as a telephone would read it out.
func describe(p stack.Page) string {
	what := "note"
	switch tier := p.Labels["escalation"]; {
	case p.Labels["kind"] == "ack" && p.Status == "firing":
		what = "taken"
	case p.Labels["kind"] == "ack":
		what = "no longer taken"
	case p.Status == "resolved":
		what = "solved or taken, tier " + tier
	case tier != "":
		what = p.Labels["severity"] + ", tier " + tier
	}
	text := fmt.Sprintf("%s  to %-8s %s: %s", p.At.Format("15:04:05"), p.Receiver, what, p.Annotations["summary"])
	if p.Status == "firing" {
		text += "\n" + strings.Repeat(" ", 22) + p.Annotations["description"]
	}
	return text
}
