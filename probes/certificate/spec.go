// Package certificate looks at the certificates that lie in the files of a host:
// when they end, when they should have been renewed, and what is wrong with
// them. It promises that no file hides another, that a changed file is seen in
// the next run however it was changed, and that what cannot be read is said to
// be so and never taken for fine.
package certificate

import (
	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/endpoint"
	"hygiene_exporter/probes/certificate/revocation"
)

const slotHelp = "leaf, chain1 and so on behind it, or the start of the hash of the subject in a bundle without a leaf"

var (
	notBefore = instant("not_before", "When the certificate begins to be valid, from its validity; slot is "+slotHelp+".")
	notAfter  = instant("not_after", "When the certificate expires, from its validity.")
	due       = instant("renewal_due", "When the certificate should be renewed, from its validity and the renewal policy of its source.")
	overdue   = instant("renewal_overdue", "When somebody is told that the certificate was not renewed, from its validity and the renewal policy of its source.")
	critical  = instant("renewal_critical", "When the certificate is about to expire, from its validity and the renewal policy of its source.")

	info = &probes.Metric{
		Name: "hygiene_certificate_info",
		Help: "What the certificate is, from its own fields; always 1.",
		Labels: []string{
			probes.LabelObject, "slot", probes.LabelOwner,
			"subject_cn", "issuer_cn", "serial", "fingerprint_sha256", "key", "signature", "sans",
		},
	}
	finding = &probes.Metric{
		Name:   "hygiene_certificate_finding",
		Help:   "A check that the certificate, or with the slot crl the revocation list, fails, 1 while it does; what could not be checked is no finding.",
		Labels: []string{probes.LabelObject, "slot", "finding", probes.LabelOwner},
		Values: map[string][]string{"finding": findings()},
	}
	findingCounts = &probes.Metric{
		Name:   "hygiene_certificate_findings",
		Help:   "Certificates by the result of each check; unknown could not be checked.",
		Labels: []string{"finding", "result"},
		Values: map[string][]string{"finding": findings(), "result": {"pass", "fail", "unknown"}},
	}
	trustStore = &probes.Metric{
		Name:   "hygiene_certificate_trust_store_certificates",
		Help:   "Certificates of a trust store by their validity; a trust store is a file with many certificates and no leaf.",
		Labels: []string{probes.LabelObject, "state", probes.LabelOwner},
		Values: map[string][]string{"state": {"valid", "expired", "not_yet_valid"}},
	}
	crlNextUpdate = &probes.Metric{
		Name:   "hygiene_certificate_crl_next_update_timestamp_seconds",
		Help:   "When the next revocation list is there at the latest, from the list; absent if it does not say.",
		Labels: []string{probes.LabelObject, probes.LabelOwner},
	}
	crlOverdue = &probes.Metric{
		Name:   "hygiene_certificate_crl_overdue_timestamp_seconds",
		Help:   "When somebody is told that the revocation list was not replaced, with a twentieth of its time left.",
		Labels: []string{probes.LabelObject, probes.LabelOwner},
	}
	sourceSuccess = &probes.Metric{
		Name:   "hygiene_certificate_source_success",
		Help:   "Whether everything that the source names could be read.",
		Labels: []string{"source"},
	}
	sourceObjects = &probes.Metric{
		Name:   "hygiene_certificate_source_objects",
		Help:   "Files of the source: ok, with a fault, or ignored because they hold no certificate.",
		Labels: []string{"source", "state"},
		Values: map[string][]string{"state": {"ok", "fault", "ignored"}},
	}
)

// Facts of servers.
var (
	lastSeen = &probes.Metric{
		Name:   "hygiene_certificate_endpoint_last_seen_timestamp_seconds",
		Help:   "When the endpoint showed its certificates last, from the clock of this host.",
		Labels: []string{probes.LabelObject, probes.LabelOwner},
	}
	staleMetric = &probes.Metric{
		Name:   "hygiene_certificate_stale",
		Help:   "Whether the dates of the endpoint are those of an earlier inspection, because the last one showed none.",
		Labels: []string{probes.LabelObject, probes.LabelOwner},
	}
	endpointFailure = &probes.Metric{
		Name: "hygiene_certificate_endpoint_failure",
		Help: "The step at which the inspection of an endpoint failed, from the handshake, 1 while it does; " +
			"in the stage verify, why its certificates are not trusted. The address is there when all of them are inspected.",
		Labels: []string{probes.LabelObject, "address", "stage", "reason", probes.LabelOwner},
		Values: map[string][]string{"stage": stages(), "reason": failureReasons()},
	}
	verifiedMetric = &probes.Metric{
		Name:   "hygiene_certificate_verified",
		Help:   "Whether a client that trusts the authorities of the endpoint, and asks for its name, would accept its certificates, from their verification.",
		Labels: []string{probes.LabelObject, "address", probes.LabelOwner},
	}
	trustedUntil = &probes.Metric{
		Name:   "hygiene_certificate_trusted_until_timestamp_seconds",
		Help:   "When clients cease to accept what the endpoint shows now: the end of the chain that lasts longest, from its verification.",
		Labels: []string{probes.LabelObject, probes.LabelOwner},
	}
	tlsInfo = &probes.Metric{
		Name:   "hygiene_certificate_tls_info",
		Help:   "Version and cipher that the endpoint chose, from the handshake; always 1.",
		Labels: []string{probes.LabelObject, "address", "version", "cipher", probes.LabelOwner},
	}
	ocspStatus = &probes.Metric{
		Name: "hygiene_certificate_ocsp_status",
		Help: "What is known of a revocation, from the response that the endpoint staples, from its responder or from its revocation list; always 1. " +
			"Unverified is a response that cannot be believed, stale one whose time is over.",
		Labels: []string{probes.LabelObject, "source", "status", probes.LabelOwner},
		Values: map[string][]string{"source": sources(), "status": statuses()},
	}
	ocspNextUpdate = &probes.Metric{
		Name:   "hygiene_certificate_ocsp_next_update_timestamp_seconds",
		Help:   "Until when the response about a revocation counts, from the response.",
		Labels: []string{probes.LabelObject, "source", probes.LabelOwner},
	}
)

// Facts of the listeners of the host.
var (
	servedOutdated = &probes.Metric{
		Name: "hygiene_certificate_served_outdated",
		Help: "Whether a listener of this host serves an older certificate than the one for the same names in the file, from a handshake; 0 where it serves the one in the file. " +
			"The listener has its name behind a slash where it was asked for one.",
		Labels: []string{probes.LabelObject, "listener", probes.LabelOwner},
	}
	listenerUnmonitored = &probes.Metric{
		Name:   "hygiene_certificate_listener_unmonitored",
		Help:   "Whether what the listener serves is in no file that is looked at, and replaced by none, from a handshake.",
		Labels: []string{probes.LabelObject, probes.LabelOwner},
	}
	listenerCounts = &probes.Metric{
		Name: "hygiene_certificate_listeners",
		Help: "TCP listeners of this host by what they serve, from handshakes: a certificate that is in a file, one that a file has replaced, or one that is in none; " +
			"those that cannot be asked, that speak no TLS, and that are skipped because of their port.",
		Labels: []string{"state"},
		Values: map[string][]string{"state": {string(matched), string(outdated), string(unmonitored), unreachable, noTLS, skipped}},
	}
)

func stages() (names []string) {
	for _, stage := range endpoint.Stages() {
		names = append(names, string(stage))
	}
	return names
}

func failureReasons() (names []string) {
	for _, reason := range probes.Reasons() {
		names = append(names, string(reason))
	}
	for _, class := range endpoint.Classes() {
		names = append(names, string(class))
	}
	return names
}

func statuses() (names []string) {
	for _, status := range revocation.Statuses() {
		names = append(names, string(status))
	}
	return names
}

func sources() (names []string) {
	for _, source := range revocation.Sources() {
		names = append(names, string(source))
	}
	return names
}

func instant(name, help string) *probes.Metric {
	return &probes.Metric{
		Name:   "hygiene_certificate_" + name + "_timestamp_seconds",
		Help:   help,
		Labels: []string{probes.LabelObject, "slot", probes.LabelOwner},
	}
}

// Spec describes the probe.
func Spec() probes.Spec {
	return probes.Spec{
		Name:    "certificate",
		Summary: "Certificates in files and at endpoints: when they expire, whether they are renewed in time and served, and what is wrong with them.",
		Metrics: []*probes.Metric{
			notBefore, notAfter, due, overdue, critical, info, finding, findingCounts,
			trustStore, crlNextUpdate, crlOverdue, sourceSuccess, sourceObjects,
			lastSeen, staleMetric, endpointFailure, verifiedMetric, trustedUntil, tlsInfo, ocspStatus, ocspNextUpdate,
			servedOutdated, listenerUnmonitored, listenerCounts,
		},
		Config: func() probes.Config { return defaultConfig() },
	}
}
