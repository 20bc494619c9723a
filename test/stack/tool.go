// Package stack runs the whole line on loopback: an agent, Prometheus,
// Alertmanager, and a receiver that records what people would be told. Each part
// can be killed and started again, and the way between Prometheus and the agent
// can be cut. Nothing sleeps for a fixed time: every wait is for an event.
package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// The environment variables that name binaries.
const (
	ToolsVariable = "HYGIENE_TOOLS" // directory with prometheus, promtool, alertmanager, amtool
	AgentVariable = "HYGIENE_BIN"   // the agent
)

// Tool finds a program in the directory $HYGIENE_TOOLS, else in $PATH.
func Tool(name string) (string, error) {
	if dir := os.Getenv(ToolsVariable); dir != "" {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is neither in $%s nor in $PATH; \"make tools\" builds it: %w", name, ToolsVariable, err)
	}
	return path, nil
}

// AgentBinary returns the agent that $HYGIENE_BIN names, else builds it from the
// module above into dir.
func AgentBinary(ctx context.Context, dir string) (string, error) {
	if path := os.Getenv(AgentVariable); path != "" {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			return path, err
		}
	}
	path := filepath.Join(dir, "hygiene_exporter")
	build := exec.CommandContext(ctx, "go", "build", "-o", path, "./cmd/hygiene_exporter")
	build.Dir = moduleAbove()
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the agent: %w\n%s", err, out)
	}
	return path, nil
}
