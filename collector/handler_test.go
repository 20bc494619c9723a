package collector

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"hygiene_exporter/probes"
)

const (
	acceptText        = "text/plain;version=0.0.4"
	acceptOpenMetrics = "application/openmetrics-text;version=1.0.0"
	acceptProtobuf    = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
)

// scrape asks a handler; headers are alternately names and values.
func scrape(h http.Handler, method string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, "/metrics", nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func bodyOf(t testing.TB, response *http.Response) string {
	t.Helper()
	reader := io.Reader(response.Body)
	if response.Header.Get("Content-Encoding") == "gzip" {
		unzip, err := gzip.NewReader(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		unzip.Multistream(false) // some clients read the first member only
		reader = unzip
	}
	body, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	if rest, _ := io.Copy(io.Discard, response.Body); rest > 0 {
		t.Errorf("%d bytes follow the body", rest)
	}
	return string(body)
}

// difficult is a probe whose facts try the encoders.
func difficult() *script {
	return &script{run: func(context.Context) (probes.Result, error) {
		var r probes.Result
		r.Add(changes, 3, "added")
		r.Add(newest, 1.5e9, "/etc/\xff\"quoted\"\n\\", "web")
		r.Add(newest, 1e-9, "no owner", "")
		r.Add(state, 1, "md0", "", "good")
		r.Add(info, 1, strings.Repeat("long", 100), "ä")
		r.Fault("/etc/broken", errors.New("broken"))
		return r, nil
	}}
}

func problems(version *uint64) FamilySource {
	return func() ([]*dto.MetricFamily, uint64) {
		name, help, value := "hygiene_problems_opened_total", "Problems, from a test.", float64(*version)
		return []*dto.MetricFamily{{
			Name: &name, Help: &help, Type: dto.MetricType_COUNTER.Enum(),
			Metric: []*dto.Metric{{Counter: &dto.Counter{Value: &value}}},
		}}, *version
	}
}

func difficultHandler(t testing.TB) (*Collector, http.Handler, *uint64) {
	c := New(Options{Log: slog.New(slog.DiscardHandler)})
	entry := testEntry("test", difficult())
	entry.Settings.Owner = ""
	c.Replace([]Entry{entry, testEntry("other", sees("other", "a"))})
	c.RunOnce(t.Context())
	version := uint64(1)
	return c, c.Handler(problems(&version)), &version
}

func seriesName(name string, metric *dto.Metric) string {
	builder := labels.NewScratchBuilder(4)
	builder.Add(model.MetricNameLabel, name)
	for _, label := range metric.GetLabel() {
		builder.Add(label.GetName(), label.GetValue())
	}
	builder.Sort()
	return builder.Labels().String()
}

// parse reads a body with the parser of Prometheus, or for protobuf with that of
// its client library.
func parse(t testing.TB, header http.Header, body string) []string {
	t.Helper()
	var series []string
	if expfmt.ResponseFormat(header).FormatType() == expfmt.TypeProtoDelim {
		decoder := expfmt.NewDecoder(strings.NewReader(body), expfmt.ResponseFormat(header))
		for {
			var family dto.MetricFamily
			if err := decoder.Decode(&family); errors.Is(err, io.EOF) {
				return series
			} else if err != nil {
				t.Fatal(err)
			}
			for _, metric := range family.GetMetric() {
				series = append(series, seriesName(family.GetName(), metric))
			}
		}
	}
	parser, err := textparse.New([]byte(body), header.Get("Content-Type"), labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		entry, err := parser.Next()
		switch {
		case errors.Is(err, io.EOF):
			return series
		case err != nil:
			t.Fatal(err)
		case entry == textparse.EntrySeries:
			var l labels.Labels
			parser.Labels(&l)
			series = append(series, l.String())
		}
	}
}

func TestGzipIsWhatGzipWouldSay(t *testing.T) {
	e := newEncoding()
	segments := []*segment{newSegment(nil), newSegment(nil), newSegment(nil)}
	var want bytes.Buffer
	for i, s := range segments {
		text := strings.Repeat(fmt.Sprint("part ", i, "\n"), i*1000)
		want.WriteString(text)
		b := &body{plain: []byte(text)}
		b.encode.Do(func() {})
		s.bodies[expfmt.FmtText] = b
	}
	c := &Collector{encoding: e}
	zipped := bytes.Join(c.parts(segments, shape{expfmt.FmtText, true}), nil)
	unzip, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(unzip) // compares length and checksum
	if err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%d bytes, %v; want %d", len(got), err, want.Len())
	}
}

func TestTextExposition(t *testing.T) {
	_, h, _ := difficultHandler(t)
	response := scrape(h, http.MethodGet)
	if got := response.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/plain; version=0.0.4") {
		t.Errorf("without Accept the type is %q", got)
	}
	body := bodyOf(t, response)
	if got := response.Header.Get("Content-Length"); got != strconv.Itoa(len(body)) {
		t.Errorf("Content-Length %s, but %d bytes", got, len(body))
	}
	want := `# HELP hygiene_test_changes_total How often, from a test.
# TYPE hygiene_test_changes_total counter
hygiene_test_changes_total{event="added"} 3
# HELP hygiene_test_info A description, from a test.
# TYPE hygiene_test_info gauge
hygiene_test_info{object="` + identity(strings.Repeat("long", 100)) + `",words="ä"} 1
# HELP hygiene_test_newest_timestamp_seconds When, from a test.
# TYPE hygiene_test_newest_timestamp_seconds gauge
hygiene_test_newest_timestamp_seconds{object="/etc/\\xff\"quoted\"\n\\",owner="web"} 1.5e+09
hygiene_test_newest_timestamp_seconds{object="no owner"} 1e-09
# HELP hygiene_test_state Which state, from a test.
# TYPE hygiene_test_state gauge
hygiene_test_state{object="md0",state="good"} 1
`
	from := strings.Index(body, "# HELP hygiene_test_")
	to := from + strings.LastIndex(body[from:], "hygiene_test_")
	to += strings.Index(body[to:], "\n") + 1
	if diff := cmp.Diff(want, body[from:to]); diff != "" {
		t.Errorf("the facts of the probe (-want +got):\n%s", diff)
	}
	lint, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range lint {
		t.Errorf("promlint: %s: %s", problem.Metric, problem.Text)
	}
}

func TestEveryFormatSaysTheSame(t *testing.T) {
	c, h, _ := difficultHandler(t)
	version := uint64(1)
	families, err := c.Gatherer(problems(&version)).Gather()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			want[seriesName(family.GetName(), metric)] = true
		}
	}
	for _, coding := range []string{"identity", "gzip"} {
		for name, accept := range map[string]string{"text": acceptText, "OpenMetrics": acceptOpenMetrics, "protobuf": acceptProtobuf} {
			t.Run(name+" "+coding, func(t *testing.T) {
				response := scrape(h, http.MethodGet, "Accept", accept, "Accept-Encoding", coding)
				if zipped := response.Header.Get("Content-Encoding") == "gzip"; zipped != (coding == "gzip") {
					t.Errorf("compressed: %v", zipped)
				}
				body := bodyOf(t, response)
				got := map[string]bool{}
				for _, name := range parse(t, response.Header, body) {
					if got[name] {
						t.Errorf("%s is there twice", name)
					}
					got[name] = true
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("series (-gathered +scraped):\n%s", diff)
				}
			})
		}
	}
}

func TestTextIsReadByTheClientLibrary(t *testing.T) {
	_, h, _ := difficultHandler(t)
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(scrape(h, http.MethodGet).Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := families["hygiene_probe_faulted_objects"]; len(got.GetMetric()) != 2*len(probes.Reasons()) {
		t.Errorf("faulted objects: %v", got)
	}
}

func TestOpenMetricsEnds(t *testing.T) {
	_, h, _ := difficultHandler(t)
	body := bodyOf(t, scrape(h, http.MethodGet, "Accept", acceptOpenMetrics))
	if !strings.HasSuffix(body, "\n# EOF\n") || strings.Count(body, "# EOF") != 1 {
		t.Errorf("the body ends with %q", body[len(body)-30:])
	}
	if !strings.Contains(body, "# TYPE hygiene_test_changes counter\nhygiene_test_changes_total{event=\"added\"} 3.0\n") {
		t.Error("the counter is not named as OpenMetrics wants it")
	}
}

func TestMethods(t *testing.T) {
	_, h, _ := difficultHandler(t)
	head := scrape(h, http.MethodHead, "Accept-Encoding", "gzip")
	if body := head.Body; head.StatusCode != http.StatusOK || head.Header.Get("Content-Length") == "0" || head.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("HEAD: %s, %v, %v", head.Status, head.Header, body)
	}
	if n, _ := io.Copy(io.Discard, head.Body); n != 0 {
		t.Errorf("HEAD has a body of %d bytes", n)
	}
	post := scrape(h, http.MethodPost)
	if post.StatusCode != http.StatusMethodNotAllowed || post.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %s, allowed %q", post.Status, post.Header.Get("Allow"))
	}
}

func TestAcceptsGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"":                           false,
		"gzip":                       true,
		"deflate, GZIP;q=0.5":        true,
		"gzip; q=0":                  false,
		"gzip;q=0.000":               false,
		"gzip;q=x":                   false,
		"identity;q=1, *;q=0":        false,
		"x-gzip":                     false,
		"br;q=1.0, gzip ; q=0.8, *;": true,
	} {
		if got := acceptsGzip([]string{header}); got != want {
			t.Errorf("Accept-Encoding %q accepts gzip: %v", header, got)
		}
	}
	if !acceptsGzip([]string{"br", "gzip"}) {
		t.Error("a second header is not read")
	}
}

func TestSourcesAreEncodedByVersion(t *testing.T) {
	_, h, version := difficultHandler(t)
	for _, want := range []uint64{1, 2, 2, 1} {
		*version = want
		if body := bodyOf(t, scrape(h, http.MethodGet)); !strings.Contains(body, fmt.Sprintf("\nhygiene_problems_opened_total %d\n", want)) {
			t.Errorf("version %d is not shown", want)
		}
	}
	s := &source{read: problems(version)}
	if first := s.segment(); s.segment() != first {
		t.Error("the same version is encoded twice")
	}
}

func TestFamilyThatCannotBeEncodedIsLeftOut(t *testing.T) {
	c := New(Options{Log: slog.New(slog.DiscardHandler)})
	nameless := func() ([]*dto.MetricFamily, uint64) {
		value, name := 1.0, "hygiene_good"
		metric := []*dto.Metric{{Gauge: &dto.Gauge{Value: &value}}}
		return []*dto.MetricFamily{
			{Type: dto.MetricType_GAUGE.Enum(), Metric: metric},
			{Name: &name, Type: dto.MetricType_SUMMARY.Enum(), Metric: metric},
			{Name: &name, Type: dto.MetricType_GAUGE.Enum(), Metric: metric},
		}, 1
	}
	body := bodyOf(t, scrape(c.Handler(nameless), http.MethodGet))
	if strings.Count(body, "hygiene_good") != 2 || !strings.Contains(body, "\nhygiene_good 1\n") {
		t.Errorf("beside families that cannot be encoded:\n%s", body)
	}
}
