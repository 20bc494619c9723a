package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hygiene_exporter/alerts"
)

// texts are all that tell people what to type: runbooks, rules, and documents.
func texts(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	runbooks := alerts.Runbooks()
	names, err := fs.Glob(runbooks, "*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		data, err := fs.ReadFile(runbooks, name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(data)
	}
	rules, err := alerts.Rules()
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range rules {
		all[rule.Name] = string(rule.Data)
	}
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(documents, "../../README.md") {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(data)
	}
	return all
}

var (
	fenced  = regexp.MustCompile("(?ms)^```[a-z]*\n(.*?)^```")
	inline  = regexp.MustCompile("`(hygiene_exporter [^`]*)`")
	quoted  = regexp.MustCompile(`"(hygiene_exporter [^"]*)"`)
	word    = regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`)
	comment = regexp.MustCompile(`\s#.*$`)
	filled  = regexp.MustCompile(`\{\{.*?\}\}`)
)

// spoken returns the commands of the agent in a text.
func spoken(text string) []string {
	var all []string
	for _, block := range fenced.FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", " ")) {
			line = strings.TrimPrefix(comment.ReplaceAllString(strings.TrimSpace(line), ""), "sudo ")
			if command, ok := strings.CutPrefix(line, "hygiene_exporter "); ok {
				all = append(all, command)
			}
		}
	}
	for _, m := range append(inline.FindAllStringSubmatch(text, -1), quoted.FindAllStringSubmatch(text, -1)...) {
		all = append(all, strings.TrimPrefix(m[1], "hygiene_exporter "))
	}
	return all
}

// arguments splits a command as a shell does, up to a pipe or a redirection.
func arguments(command string) []string {
	var args []string
	for _, one := range word.FindAllString(filled.ReplaceAllString(command, "X"), -1) {
		if slices.Contains([]string{"|", ">", ">>", "&&", "2>&1", ";"}, one) {
			break
		}
		args = append(args, strings.Trim(one, `'"`))
	}
	return args
}

// Whoever does what a text says is understood by the agent.
func TestCommandsInTextsExist(t *testing.T) {
	seen := 0
	for name, text := range texts(t) {
		for _, command := range spoken(text) {
			if strings.HasSuffix(command, "…") || strings.Contains(command, "[") {
				continue // a pattern of a command
			}
			seen++
			app, _ := application(&environment{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}})
			app.Terminate(func(int) {})
			_, err := app.Parse(arguments(command))
			if err != nil && !strings.Contains(err.Error(), "does not exist") { // a file that the reader has
				t.Errorf("%s: hygiene_exporter %s: %v", name, command, err)
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d commands were found", seen)
	}
}
