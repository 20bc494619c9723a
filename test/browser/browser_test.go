//go:build live

package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"hygiene_exporter/test/stack"
)

// agent runs an agent that has something to show: a certificate in order, one
// that is overdue, and a file that is none. It returns its address.
func agent(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, wait := range map[string]time.Duration{"good.pem": 20 * time.Minute, "late.pem": 0} {
		certificate, err := stack.NewCertificate(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := certificate.OverdueIn(wait, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "broken.pem"), []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	binary, err := stack.AgentBinary(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "agent.yml")
	text := fmt.Sprintf("alerts: {evaluation_interval: 1s}\nescalation: {startup_grace: 0s}\nprobes:\n  certificate: {interval: 1s, timeout: 500ms, sources: [{name: s, paths: [%q]}]}\n", filepath.Join(dir, "*.pem"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := stack.NewProcess(t.Context(), "agent", binary, "--config.file="+config, "--state.dir="+filepath.Join(dir, "state"), "--web.listen-address=ADDRESS")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(p.Output())
		}
	})
	return "http://" + p.Address
}

// chromium starts a browser that knows nothing and reports home nothing.
func chromium(t *testing.T) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("/usr/bin/chromium"), chromedp.NoSandbox, chromedp.UserDataDir(profile(t)),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(cancel)
	// A browser that is newer than the library has words that it does not know.
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {}))
	t.Cleanup(cancel)
	return ctx
}

// profile makes a directory for a browser. Its processes write there for a moment
// when the browser itself has ended already.
func profile(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "browser")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := os.RemoveAll(dir)
		for end := time.Now().Add(20 * time.Second); err != nil && time.Now().Before(end); err = os.RemoveAll(dir) {
			time.Sleep(50 * time.Millisecond)
		}
		if err != nil {
			t.Error(err)
		}
	})
	return dir
}

// complaints collects what the browser has to say against a page.
type complaints struct {
	mu  sync.Mutex
	all []string
}

func (c *complaints) listen(ctx context.Context) {
	chromedp.ListenTarget(ctx, func(event any) {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch e := event.(type) {
		case *log.EventEntryAdded:
			if !strings.Contains(e.Entry.URL, "favicon") {
				c.all = append(c.all, e.Entry.Text)
			}
		case *runtime.EventExceptionThrown:
			c.all = append(c.all, e.ExceptionDetails.Text)
		}
	})
}

func (c *complaints) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.all
	c.all = nil
	return all
}

// Every page is shown without a complaint of the browser, on a large screen and
// on a phone, in light and in dark, and nothing is wider than the screen.
func TestPages(t *testing.T) {
	address, ctx := agent(t), chromium(t)
	var heard complaints
	heard.listen(ctx)
	if err := chromedp.Run(ctx, log.Enable(), runtime.Enable()); err != nil {
		t.Fatal(err)
	}
	await(ctx, t, address)
	for _, path := range []string{
		"/", "/history", "/probes/certificate", "/probes/redundancy", "/probes/patch", "/probes/port",
		"/runbooks/", "/runbooks/certificate-renewal_overdue",
	} {
		for _, screen := range []struct {
			name          string
			width, height int64
			scheme        string
		}{{"screen", 1280, 900, "light"}, {"phone", 360, 740, "dark"}} {
			var shown, wide int64
			var title, ground string
			var picture []byte
			err := chromedp.Run(ctx,
				emulation.SetDeviceMetricsOverride(screen.width, screen.height, 1, screen.name == "phone"),
				emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: screen.scheme}}),
				chromedp.Navigate(address+path),
				chromedp.Title(&title),
				chromedp.Evaluate(`document.documentElement.clientWidth`, &shown),
				chromedp.Evaluate(`document.documentElement.scrollWidth`, &wide),
				chromedp.Evaluate(`getComputedStyle(document.body).backgroundColor`, &ground),
				chromedp.FullScreenshot(&picture, 100),
			)
			if err != nil {
				t.Fatalf("%s on a %s: %v", path, screen.name, err)
			}
			if title == "" || wide > shown {
				t.Errorf("%s on a %s: title %q, %d pixels wide on %d", path, screen.name, title, wide, shown)
			}
			if dark := ground != "rgb(255, 255, 255)"; dark != (screen.scheme == "dark") {
				t.Errorf("%s on a %s: the ground is %s", path, screen.name, ground)
			}
			if said := heard.take(); len(said) > 0 {
				t.Errorf("%s on a %s: the browser says %q", path, screen.name, said)
			}
			keep(t, path+"-"+screen.name, picture)
		}
	}
}

// await waits until the page shows the problem of the certificate that is late.
func await(ctx context.Context, t *testing.T, address string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for text := ""; !strings.Contains(text, "late.pem"); {
		if time.Now().After(deadline) {
			t.Fatalf("the problem is not shown: %s", text)
		}
		if err := chromedp.Run(ctx, chromedp.Navigate(address+"/"), chromedp.Text("body", &text), chromedp.Sleep(200*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
}

// keep saves a picture where somebody wants to look at it.
func keep(t *testing.T, name string, picture []byte) {
	t.Helper()
	dir := os.Getenv("HYGIENE_REVIEW")
	if dir == "" {
		return
	}
	file := filepath.Join(dir, strings.ReplaceAll(strings.Trim(name, "/"), "/", "-")+".png")
	if err := os.WriteFile(file, picture, 0o600); err != nil {
		t.Error(err)
	}
}

// Whoever uses the keyboard comes to the content at once, and from there to
// every link.
func TestKeyboard(t *testing.T) {
	address, ctx := agent(t), chromium(t)
	var first, second string
	err := chromedp.Run(ctx,
		chromedp.Navigate(address+"/probes/certificate"),
		chromedp.KeyEvent("\t"), chromedp.Evaluate(`document.activeElement.getAttribute("href")`, &first),
		chromedp.KeyEvent("\t"), chromedp.Evaluate(`document.activeElement.getAttribute("href")`, &second),
	)
	if err != nil {
		t.Fatal(err)
	}
	if first != "#main" || second != "/" {
		t.Errorf("the first stops are %q and %q", first, second)
	}
}
