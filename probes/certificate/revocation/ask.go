package revocation

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"

	"hygiene_exporter/probes"
)

// An Asker asks the authorities that certificates name. It asks over plain HTTP,
// as the certificates say, because the answers are signed. It must be given only
// certificates that lead to a trusted authority: others could name anybody. It is
// safe for concurrent use.
type Asker struct {
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// OCSP asks responders, List fetches revocation lists where no responder has
	// answered.
	OCSP, List bool
	// Now is the clock; nil means time.Now.
	Now func() time.Time

	once   sync.Once
	client *http.Client

	mu      sync.Mutex
	answers map[string]known // by certificate
	lists   map[string]*list // by address
}

// known is an answer and the time at which somebody is asked again.
type known struct {
	Answer
	again time.Time
}

// When somebody is asked again: not before an answer is out of date, but within
// these bounds; and after a while if there was none.
const (
	soonest = 5 * time.Minute
	latest  = 7 * 24 * time.Hour
	retry   = time.Hour
)

// The bounds of what is asked and kept.
const (
	patience    = 10 * time.Second
	maxResponse = 64 << 10
	maxList     = 32 << 20
	maxAnswers  = 10_000
	maxLists    = 8
)

func (a *Asker) now() time.Time {
	if a.Now != nil {
		return a.Now()
	}
	return time.Now()
}

// Ask returns what is known of a certificate. It is false when nobody can be
// asked, because the certificate names nobody of the kind that is asked.
func (a *Asker) Ask(ctx context.Context, certificate, issuer *x509.Certificate) (Answer, bool) {
	responders, points := web(certificate.OCSPServer), web(certificate.CRLDistributionPoints)
	if (!a.OCSP || len(responders) == 0) && (!a.List || len(points) == 0) {
		return Answer{}, false
	}
	key := string(certificate.Raw)
	a.mu.Lock()
	last, asked := a.answers[key]
	a.mu.Unlock()
	if now := a.now(); asked && now.Before(last.again) {
		return last.at(now), true
	}
	answer := Answer{Status: Unknown}
	if a.OCSP && len(responders) > 0 {
		answer = a.respond(ctx, responders[0], certificate, issuer)
	}
	if a.List && len(points) > 0 && answer.Status != Good && answer.Status != Revoked {
		answer = a.look(ctx, points[0], certificate, issuer)
	}
	if ctx.Err() == nil { // or it says nothing about the authority
		a.keep(key, answer)
	}
	return answer, true
}

// keep remembers an answer until it is out of date.
func (a *Asker) keep(key string, answer Answer) {
	now := a.now()
	again := now.Add(retry)
	if (answer.Status == Good || answer.Status == Revoked) && !answer.NextUpdate.IsZero() {
		again = answer.NextUpdate
		if limit := now.Add(soonest); again.Before(limit) {
			again = limit
		}
		if limit := now.Add(latest); again.After(limit) {
			again = limit
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.answers == nil || len(a.answers) >= maxAnswers {
		a.answers = map[string]known{}
	}
	a.answers[key] = known{answer, again}
}

// web lists the addresses that are of plain HTTP.
func web(addresses []string) (list []string) {
	for _, address := range addresses {
		if strings.HasPrefix(address, "http://") {
			list = append(list, address)
		}
	}
	return list
}

// respond asks a responder, RFC 6960 appendix A.
func (a *Asker) respond(ctx context.Context, address string, certificate, issuer *x509.Certificate) Answer {
	request, err := ocsp.CreateRequest(certificate, issuer, nil)
	if err != nil {
		return Answer{Source: Responder, Status: Unknown, Err: err}
	}
	raw, err := a.fetch(ctx, http.MethodPost, address, request, maxResponse)
	if err != nil {
		return Answer{Source: Responder, Status: Unknown, Err: err}
	}
	return Read(Responder, raw, certificate, issuer, a.now())
}

// fetch gets a document of a bounded size.
func (a *Asker) fetch(ctx context.Context, method, address string, body []byte, limit int64) ([]byte, error) {
	a.once.Do(func() {
		a.client = &http.Client{
			Timeout:       patience,
			Transport:     &http.Transport{DialContext: a.Dial, DisableKeepAlives: true, Proxy: nil},
			CheckRedirect: onlyWeb,
		}
	})
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, probes.Because(probes.Malformed, err)
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/ocsp-request")
	}
	response, err := a.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, probes.Because(probes.Unavailable, fmt.Errorf("%s answers with status %d", address, response.StatusCode))
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = probes.Because(probes.TooLarge, fmt.Errorf("%s sends more than %d bytes", address, limit))
	}
	return data, err
}

// onlyWeb follows few redirections, and to plain HTTP only.
func onlyWeb(request *http.Request, via []*http.Request) error {
	if request.URL.Scheme != "http" || len(via) > 2 {
		return errors.New("it leads elsewhere")
	}
	return nil
}
