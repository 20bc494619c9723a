package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/slogtest"
	"time"
)

func TestLoggerWritesOneLogfmtLinePerRecord(t *testing.T) {
	var out bytes.Buffer
	logger := newLogger(&out, "logfmt", slog.LevelInfo).With("probe", "certificate").WithGroup("run")
	logger.Debug("not written")
	logger.Warn("fault changed", "object", `/a "b"`, "err", errors.New("no such file"))
	line := out.String()
	timestamp, rest, _ := strings.Cut(line, " ")
	if _, err := time.Parse(time.RFC3339Nano, strings.TrimPrefix(timestamp, "ts=")); err != nil {
		t.Errorf("line begins with %q: %v", timestamp, err)
	}
	const want = `level=warn msg="fault changed" run.object="/a \"b\"" run.err="no such file" probe=certificate` + "\n"
	if rest != want {
		t.Errorf("got  %s\nwant %s", rest, want)
	}
}

// The standard library's own conformance test of handlers, with the nesting of
// groups undone from the dotted keys.
func TestLoggerIsASlogHandler(t *testing.T) {
	var out bytes.Buffer
	results := func() []map[string]any {
		var records []map[string]any
		for line := range strings.Lines(out.String()) {
			var flat map[string]any
			if err := json.Unmarshal([]byte(line), &flat); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			record := map[string]any{}
			for key, value := range flat {
				if key == "ts" {
					key = slog.TimeKey
				}
				at := record
				for {
					group, rest, nested := strings.Cut(key, ".")
					if !nested {
						break
					}
					if at[group] == nil {
						at[group] = map[string]any{}
					}
					at, key = at[group].(map[string]any), rest
				}
				at[key] = value
			}
			records = append(records, record)
		}
		return records
	}
	if err := slogtest.TestHandler(newLogger(&out, "json", slog.LevelInfo).Handler(), results); err != nil {
		t.Error(err)
	}
}
