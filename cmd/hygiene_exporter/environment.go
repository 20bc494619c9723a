package main

import (
	"io"
	"log/slog"
	"path/filepath"

	"github.com/alecthomas/kingpin/v2"

	"hygiene_exporter/config"
	"hygiene_exporter/probes"
	"hygiene_exporter/probes/all"
	"hygiene_exporter/probes/host"
)

// environment is what every command is given: the global flags, and where to
// print.
type environment struct {
	stdout, stderr io.Writer

	configFile            string
	stateDirFlag          string
	rootfs, procfs, sysfs string
	logLevel, logFormat   string
	controlSocket         string
}

func (e *environment) declare(app *kingpin.Application) {
	app.Flag("config.file", "Configuration file. Without one, everything that can be discovered is probed.").StringVar(&e.configFile)
	app.Flag("state.dir", "Directory of what must survive a restart: open problems, acknowledgements, what probes remember. Default: /var/lib/hygiene_exporter where it can be written, else a directory of the user.").StringVar(&e.stateDirFlag)
	app.Flag("control.socket", "Socket for the commands that speak to the running agent: problems, ack, unack, baseline and drill. Default: control.sock in the state directory.").StringVar(&e.controlSocket)
	app.Flag("path.rootfs", "Where the root of the host is mounted.").Default("/").StringVar(&e.rootfs)
	app.Flag("path.procfs", "Where procfs of the host is mounted. Default: proc below the root.").StringVar(&e.procfs)
	app.Flag("path.sysfs", "Where sysfs of the host is mounted. Default: sys below the root.").StringVar(&e.sysfs)
	app.Flag("log.level", "Least level of what is logged: debug, info, warn or error.").Default("info").EnumVar(&e.logLevel, "debug", "info", "warn", "error")
	app.Flag("log.format", "Format of log lines: logfmt or json.").Default("logfmt").EnumVar(&e.logFormat, "logfmt", "json")
}

// log returns the logger that the flags ask for.
func (e *environment) log() *slog.Logger {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	return newLogger(e.stderr, e.logFormat, levels[e.logLevel])
}

// stateDir returns the directory of durable state; empty when there is none.
func (e *environment) stateDir() string { return host.StateDir(e.stateDirFlag) }

// socket returns the path of the control socket; empty when there is no place
// for one.
func (e *environment) socket() string {
	if e.controlSocket != "" {
		return e.controlSocket
	}
	if dir := e.stateDir(); dir != "" {
		return filepath.Join(dir, "control.sock")
	}
	return ""
}

// loadConfig reads the configuration file, or returns the defaults without one.
func (e *environment) loadConfig() (*config.Config, error) {
	if e.configFile == "" {
		return config.Default(all.Specs()), nil
	}
	return config.Load(e.configFile, all.Specs())
}

// hosts opens this host for probes. Without a state directory, what they
// remember is gone with the process.
func (e *environment) hosts(c *config.Config, stateDir string, work probes.Work, log *slog.Logger) (*host.Hosts, error) {
	return host.New(host.Options{
		Work: work,
		Root: e.rootfs, Proc: e.procfs, Sys: e.sysfs,
		StateDir: stateDir,
		Wrappers: c.Commands,
		Specs:    all.Specs(),
		Log:      log,
	})
}

// metrics lists everything that a rule may use.
func metrics() []*probes.Metric {
	list := agentMetrics()
	for _, spec := range all.Specs() {
		list = append(list, spec.Metrics...)
	}
	return list
}
