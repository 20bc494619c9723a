package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/coreos/go-systemd/v22/activation"
	"github.com/prometheus/common/version"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"hygiene_exporter/alerts/control"
)

// serveCommand runs the agent.
type serveCommand struct {
	web       *toolkit.FlagConfig
	lifecycle bool
}

// defaultAddress is of the loopback interface: what the agent knows about a
// host would help whoever attacks it.
const defaultAddress = "127.0.0.1:10981"

func (c *serveCommand) declare(app *kingpin.Application) *kingpin.CmdClause {
	serve := app.Command("serve", "Run the agent: probe this host, serve /metrics and a status page. This is the default.").Default()
	c.web = kingpinflag.AddFlags(app, defaultAddress)
	app.Flag("web.enable-lifecycle", "Allow POST /-/reload. SIGHUP reloads always.").BoolVar(&c.lifecycle)
	return serve
}

func (c *serveCommand) run(ctx context.Context, e *environment) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if os.Getenv("GOGC") == "" {
		// The agent works in bursts, and its memory is that of the host. More
		// collections cost it little.
		debug.SetGCPercent(40)
	}
	log := e.log()
	socket, err := e.openControl(ctx)
	if errors.Is(err, control.ErrServed) {
		return fmt.Errorf("%w; two agents must not share a state directory", err)
	}
	if err != nil {
		log.Warn("the commands problems and ack cannot reach this agent", "err", err)
	}
	a, err := newAgent(e, log)
	if err != nil {
		return err
	}
	listeners, err := c.listen(ctx)
	if err != nil {
		return err
	}

	var tasks sync.WaitGroup
	tasks.Go(func() { a.collector.Run(ctx) })
	tasks.Go(func() { a.monitor.Run(ctx) })
	tasks.Go(func() { a.reloadOnHangup(ctx) })
	tasks.Go(func() { a.outbox.run(ctx) })
	if socket != nil {
		tasks.Go(func() {
			if err := control.Serve(ctx, socket, door{a.monitor, a}, log); err != nil {
				log.Error("control socket closed", "err", err)
			}
		})
	}

	server := &http.Server{
		Handler:           a.handler(loopbackOnly(listeners), c.lifecycle),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { shutDown(server) })
	defer stop()
	announce(log, listeners, *c.web.WebConfigFile)
	err = toolkit.ServeMultiple(listeners, server, c.web, log)
	cancel()
	tasks.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// shutDown lets scrapes that are under way finish.
func shutDown(server *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		server.Close()
	}
}

// listen opens the addresses of the flags, or takes the sockets that systemd
// hands over.
func (c *serveCommand) listen(ctx context.Context) ([]net.Listener, error) {
	if err := toolkit.Validate(*c.web.WebConfigFile); err != nil {
		return nil, err
	}
	if *c.web.WebSystemdSocket {
		return activation.Listeners()
	}
	var (
		listeners []net.Listener
		config    net.ListenConfig
	)
	for _, address := range *c.web.WebListenAddresses {
		listener, err := config.Listen(ctx, "tcp", address)
		if err != nil {
			for _, opened := range listeners {
				opened.Close()
			}
			return nil, err
		}
		listeners = append(listeners, listener)
	}
	return listeners, nil
}

// loopbackOnly reports whether nobody but this host can connect.
func loopbackOnly(listeners []net.Listener) bool {
	for _, listener := range listeners {
		address, ok := listener.Addr().(*net.TCPAddr)
		if !ok || !address.IP.IsLoopback() {
			return false
		}
	}
	return true
}

// announce says where to look and who can.
func announce(log *slog.Logger, listeners []net.Listener, webConfig string) {
	for _, listener := range listeners {
		log.Info("listening", "version", version.Version, "status_page", fmt.Sprintf("http://%s/", listener.Addr()), "metrics", fmt.Sprintf("http://%s/metrics", listener.Addr()))
	}
	switch {
	case loopbackOnly(listeners):
		log.Info("only this host can scrape the agent; to open it, start with " + openUp)
	case webConfig == "":
		log.Warn("everybody who reaches the address can read what is wrong with this host; use --web.config.file for TLS and a password")
	}
}

// openUp is how to let a Prometheus elsewhere scrape the agent.
const openUp = "--web.listen-address=:10981 --web.config.file=web.yml, where web.yml sets tls_server_config and basic_auth_users"

// reloadOnHangup reloads the configuration at each SIGHUP.
func (a *agent) reloadOnHangup(ctx context.Context) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			_ = a.reload(ctx) // it logs how it went
		}
	}
}

// openControl opens the control socket. It comes before everything else,
// because who has it has the state directory.
func (e *environment) openControl(ctx context.Context) (net.Listener, error) {
	path := e.socket()
	if path == "" {
		return nil, errors.New("there is no state directory for the control socket; set --state.dir or --control.socket")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	return control.Listen(ctx, path)
}
