package pbs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// A remote is a datastore that a server is asked for. Its fields behind mu are
// shared by Look and Check.
type remote struct {
	host    probes.Host
	options job.Options

	mu   sync.Mutex
	seen []snapshot
}

func newRemote(host probes.Host, o job.Options) *remote { return &remote{host: host, options: o} }

// maxAnswer bounds what a server may list.
const maxAnswer = 64 << 20

// The longest that a server may need for an answer.
const patience = 30 * time.Second

// token reads the file with the name and the secret of a token.
func (r *remote) token() (string, error) {
	text, err := r.host.Files.ReadFile(r.options.PasswordFile, 4<<10)
	if err != nil {
		return "", probes.Because(probes.Auth, fmt.Errorf("the token cannot be read: %w", err))
	}
	token := strings.TrimSpace(string(text))
	name, secret, ok := strings.Cut(token, ":")
	if !ok || secret == "" || !strings.Contains(name, "!") || !strings.Contains(name, "@") || strings.ContainsAny(token, "\r\n \t") {
		return "", probes.Because(probes.Auth, fmt.Errorf("%s does not hold user@realm!name:secret in one line", r.options.PasswordFile))
	}
	return token, nil
}

// trust says which certificate a server may show: the one with the fingerprint,
// or one of an authority.
func (r *remote) trust() (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if r.options.CAFile != "" {
		text, err := r.host.Files.ReadFile(r.options.CAFile, 1<<20)
		if err != nil {
			return nil, err
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(text) {
			return nil, probes.Because(probes.Malformed, fmt.Errorf("%s holds no certificate", r.options.CAFile))
		}
	}
	if want := strings.ToLower(strings.ReplaceAll(r.options.Fingerprint, ":", "")); want != "" {
		conf.InsecureSkipVerify = true //nolint:gosec // the fingerprint says more than any authority
		conf.VerifyConnection = func(state tls.ConnectionState) error {
			digest := sha256.Sum256(state.PeerCertificates[0].Raw)
			if hex.EncodeToString(digest[:]) != want {
				return errFingerprint
			}
			return nil
		}
	}
	return conf, nil
}

var errFingerprint = probes.Because(probes.Auth, errors.New("the certificate of the server has another fingerprint"))

// get asks the server.
func (r *remote) get(ctx context.Context, place string, query url.Values) ([]byte, error) {
	token, err := r.token()
	if err != nil {
		return nil, err
	}
	trust, err := r.trust()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: r.host.Dial, TLSClientConfig: trust, TLSHandshakeTimeout: patience, DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(r.options.Endpoint, "/")+"/api2/json"+place+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "PBSAPIToken="+token)
	response, err := client.Do(request)
	if err != nil {
		return nil, refused(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > maxAnswer:
		return nil, probes.Because(probes.TooLarge, fmt.Errorf("the answer is larger than %d bytes", maxAnswer))
	}
	return body, status(response, body)
}

func refused(err error) error {
	if untrusted, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return probes.Because(probes.Auth, fmt.Errorf("the server cannot prove who it is; its fingerprint may be configured: %w", untrusted.Err))
	}
	if errors.Is(err, http.ErrSchemeMismatch) || errors.Is(err, io.EOF) {
		return probes.Because(probes.Network, err)
	}
	return err
}

// status says what a refusal means.
func status(response *http.Response, body []byte) error {
	text := strings.TrimSpace(string(body[:min(len(body), 200)]))
	err := fmt.Errorf("the server answers %s: %s", response.Status, text)
	switch {
	case response.StatusCode == http.StatusOK:
		return nil
	case response.StatusCode == http.StatusUnauthorized:
		return probes.Because(probes.Auth, err)
	case response.StatusCode == http.StatusForbidden:
		return probes.Because(probes.PermissionDenied, err)
	case strings.Contains(text, "no such datastore"), response.StatusCode == http.StatusNotFound:
		return probes.Because(probes.NotFound, err)
	case strings.Contains(text, "maintenance"):
		return probes.Because(probes.Unavailable, err)
	case response.StatusCode >= 500:
		return probes.Because(probes.Unavailable, err)
	}
	return err
}

// parseSnapshots reads the list of snapshots.
func parseSnapshots(body []byte, pattern string) ([]snapshot, error) {
	var answer struct {
		Data []struct {
			Type  string `json:"backup-type"`
			ID    string `json:"backup-id"`
			Time  int64  `json:"backup-time"`
			Size  *int64 `json:"size"`
			Files []struct {
				Name  string `json:"filename"`
				Crypt string `json:"crypt-mode"`
			} `json:"files"`
			Verification struct {
				State string `json:"state"`
				UPID  string `json:"upid"`
			} `json:"verification"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, probes.Because(probes.Malformed, fmt.Errorf("the server answered something else than a list: %w", err))
	}
	if answer.Data == nil && !bytes.Contains(body, []byte(`"data"`)) {
		return nil, probes.Because(probes.Malformed, errors.New("the server answered something else than a list"))
	}
	var list []snapshot
	for _, one := range answer.Data {
		group := one.Type + "/" + one.ID
		if !counts(pattern, group) {
			continue
		}
		s := snapshot{
			group: group, at: time.Unix(one.Time, 0).UTC(), files: int64(len(one.Files)),
			verified: one.Verification.State, checked: upidTime(one.Verification.UPID), crypt: len(one.Files) > 0,
		}
		if one.Size != nil { // what has no manifest has no size
			s.size, s.complete = *one.Size, true
		}
		for _, file := range one.Files {
			s.crypt = s.crypt && (file.Crypt == "encrypt" || file.Name == manifestName || file.Name == "client.log.blob")
		}
		list = append(list, s)
	}
	return list, nil
}

// Look lists the snapshots.
func (r *remote) Look(ctx context.Context) (job.Sight, error) {
	sight := job.Sight{Media: "server", Devices: []string{"pbs/" + strings.TrimPrefix(r.options.Endpoint, "https://") + "/" + r.options.Repository}}
	query := url.Values{}
	if r.options.Dataset != "" {
		query.Set("ns", r.options.Dataset)
	}
	body, err := r.get(ctx, "/admin/datastore/"+r.options.Repository+"/snapshots", query)
	if err != nil {
		return sight, err
	}
	list, err := parseSnapshots(body, r.options.Snapshots)
	if err != nil {
		return sight, err
	}
	r.mu.Lock()
	r.seen = list
	r.mu.Unlock()
	sight.Tools = []job.Tool{{Name: "proxmox-backup"}}
	return sight, fill(&sight, list)
}

// Check says what the server has found: it alone reads its chunks.
func (r *remote) Check(_ context.Context, task job.Task) job.Outcome {
	out := job.Outcome{Units: map[string]error{}}
	r.mu.Lock()
	seen := r.seen
	r.mu.Unlock()
	for _, id := range task.Point.Units {
		i := slices.IndexFunc(seen, func(s snapshot) bool { return s.id() == id })
		var err error
		switch {
		case i < 0:
			err = probes.Because(probes.NotFound, fmt.Errorf("%s is gone since it was listed", id))
		case seen[i].verified == verifiedFailed:
			err = job.Flawed(job.Damaged, "the verification of %s by the server failed", id)
		case task.Depth == job.Read && seen[i].verified != verifiedOK:
			err = probes.Because(probes.NotRun, fmt.Errorf("the server has not verified %s yet", id))
		case task.Depth != job.Read && task.Depth != job.Structure:
			err = probes.Because(probes.Unsupported, fmt.Errorf("snapshots of a server are not checked by %s", task.Depth))
		case seen[i].files < 2 || seen[i].size == 0:
			err = job.Flawed(job.Empty, "%s holds nothing but its manifest", id)
		}
		out.Err = job.Worse(out.Err, err)
	}
	out.Judged(job.Tool{Name: "proxmox-backup"})
	return out
}
