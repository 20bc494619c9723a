package main

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
)

// newLogger returns a logger that writes one line per record, as logfmt or
// JSON, through go-kit/log. Everything else in the agent knows slog only.
func newLogger(w io.Writer, format string, threshold slog.Level) *slog.Logger {
	sink := log.NewLogfmtLogger(log.NewSyncWriter(w))
	if format == "json" {
		sink = log.NewJSONLogger(log.NewSyncWriter(w))
	}
	return slog.New(&goKit{sink: sink, threshold: threshold})
}

// goKit is a slog.Handler that writes to a go-kit logger.
type goKit struct {
	sink      log.Logger
	threshold slog.Level
	group     string // prefix of keys, with its dot
}

func (h *goKit) Enabled(_ context.Context, l slog.Level) bool { return l >= h.threshold }

func (h *goKit) Handle(_ context.Context, record slog.Record) error {
	var pairs []any
	if !record.Time.IsZero() {
		pairs = append(pairs, "ts", record.Time.UTC().Format(time.RFC3339Nano))
	}
	pairs = append(pairs, "level", levelValue(record.Level), "msg", record.Message)
	record.Attrs(func(attr slog.Attr) bool {
		pairs = appendAttr(pairs, h.group, attr)
		return true
	})
	return h.sink.Log(pairs...)
}

func (h *goKit) WithAttrs(attrs []slog.Attr) slog.Handler {
	var pairs []any
	for _, attr := range attrs {
		pairs = appendAttr(pairs, h.group, attr)
	}
	return &goKit{sink: log.WithSuffix(h.sink, pairs...), threshold: h.threshold, group: h.group}
}

func (h *goKit) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return &goKit{sink: h.sink, threshold: h.threshold, group: h.group + name + "."}
}

func appendAttr(pairs []any, prefix string, attr slog.Attr) []any {
	value := attr.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		if attr.Key != "" {
			prefix += attr.Key + "."
		}
		for _, member := range value.Group() {
			pairs = appendAttr(pairs, prefix, member)
		}
		return pairs
	}
	if attr.Key == "" {
		return pairs
	}
	return append(pairs, prefix+attr.Key, value.Any())
}

func levelValue(l slog.Level) level.Value {
	switch {
	case l < slog.LevelInfo:
		return level.DebugValue()
	case l < slog.LevelWarn:
		return level.InfoValue()
	case l < slog.LevelError:
		return level.WarnValue()
	}
	return level.ErrorValue()
}
