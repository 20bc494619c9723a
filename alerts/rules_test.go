package alerts

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hygiene_exporter/alerts/detect"
	"hygiene_exporter/alerts/ledger"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// cases holds, for each alert, facts on which it fires and the closest facts on
// which it does not.
func cases() map[string]struct{ fires, silent string } {
	all := redundancyCases()
	maps.Copy(all, backupCases())
	maps.Copy(all, drillCases())
	maps.Copy(all, fileCases())
	maps.Copy(all, map[string]struct{ fires, silent string }{
		"HygieneCertificateExpired": {
			fires: `
				hygiene_certificate_not_after_timestamp_seconds{object="/etc/ssl/a.pem", slot="leaf", owner="web"} now
				hygiene_certificate_not_after_timestamp_seconds{object="/etc/ssl/a.pem", slot="chain1", owner="web"} now-3d
				hygiene_certificate_not_after_timestamp_seconds{object="/etc/ssl/b.pem", slot="leaf", owner="web"} now+1d
				hygiene_certificate_not_after_timestamp_seconds{object="/etc/ssl/b.pem", slot="chain12", owner="web"} now-1d
				hygiene_certificate_not_after_timestamp_seconds{object="keystore.jks#alias", slot="leaf"} now-1s`,
			silent: `
				hygiene_certificate_not_after_timestamp_seconds{object="/etc/ssl/a.pem", slot="leaf", owner="web"} now+1s
				hygiene_certificate_not_after_timestamp_seconds{object="/etc/ssl/certs/ca.pem", slot="ab12cd34"} now-400d`,
		},
		"HygieneCertificateRenewalOverdue": {
			fires: `
				hygiene_certificate_renewal_overdue_timestamp_seconds{object="/etc/ssl/a.pem", slot="leaf", owner="web"} now
				hygiene_certificate_renewal_overdue_timestamp_seconds{object="/etc/ssl/ca.pem", slot="ab12cd34"} now-1d`,
			silent: `
				hygiene_certificate_renewal_overdue_timestamp_seconds{object="/etc/ssl/a.pem", slot="leaf", owner="web"} now+1s`,
		},
		"HygieneCertificateRenewalCritical": {
			fires: `
				hygiene_certificate_renewal_overdue_timestamp_seconds{object="/etc/ssl/a.pem", slot="leaf", owner="web"} now-9d
				hygiene_certificate_renewal_critical_timestamp_seconds{object="/etc/ssl/a.pem", slot="leaf", owner="web"} now
				hygiene_certificate_renewal_critical_timestamp_seconds{object="/etc/ssl/a.pem", slot="chain1", owner="web"} now-2d`,
			silent: `
				hygiene_certificate_renewal_overdue_timestamp_seconds{object="/etc/ssl/a.pem", slot="leaf", owner="web"} now-9d
				hygiene_certificate_renewal_critical_timestamp_seconds{object="/etc/ssl/a.pem", slot="leaf", owner="web"} now+1s`,
		},
		"HygieneCertificateNotYetValid": {
			fires: `
				hygiene_certificate_not_before_timestamp_seconds{object="/etc/ssl/a.pem", slot="leaf", owner="web"} now+1s
				hygiene_certificate_not_before_timestamp_seconds{object="/etc/ssl/a.pem", slot="chain1", owner="web"} now-1s`,
			silent: `
				hygiene_certificate_not_before_timestamp_seconds{object="/etc/ssl/a.pem", slot="leaf", owner="web"} now
				hygiene_certificate_not_before_timestamp_seconds{object="/etc/ssl/ca.pem", slot="ab12cd34"} now+1d`,
		},
		"HygieneCertificateNonconforming": {
			fires: `
				hygiene_certificate_finding{object="/etc/ssl/a.pem", slot="leaf", finding="nonconforming", owner="web"} 1
				hygiene_certificate_finding{object="/etc/ssl/a.pem", slot="chain1", finding="nonconforming", owner="web"} 1`,
			silent: `
				hygiene_certificate_finding{object="/etc/ssl/a.pem", slot="leaf", finding="other", owner="web"} 1`,
		},
		"HygieneCertificateEndpointWrongName": {
			fires:  `hygiene_certificate_endpoint_failure{object="www.example.org:443", stage="verify", reason="wrong_name", owner="web"} 1`,
			silent: `hygiene_certificate_endpoint_failure{object="www.example.org:443", stage="verify", reason="expired", owner="web"} 1`,
		},
		"HygieneCertificateEndpointUntrusted": {
			fires:  `hygiene_certificate_endpoint_failure{object="www.example.org:443", stage="verify", reason="untrusted", owner="web"} 1`,
			silent: `hygiene_certificate_endpoint_failure{object="www.example.org:443", stage="handshake", reason="timeout", owner="web"} 1`,
		},
		"HygieneCertificateEndpointIncompleteChain": {
			fires:  `hygiene_certificate_endpoint_failure{object="www.example.org:443", stage="verify", reason="incomplete_chain", owner="web"} 1`,
			silent: `hygiene_certificate_endpoint_failure{object="www.example.org:443", stage="verify", reason="untrusted", owner="web"} 1`,
		},
		"HygieneCertificateRevoked": {
			fires:  `hygiene_certificate_ocsp_status{object="www.example.org:443", source="stapled", status="revoked", owner="web"} 1`,
			silent: `hygiene_certificate_ocsp_status{object="www.example.org:443", source="stapled", status="good", owner="web"} 1`,
		},
		"HygieneCertificateStapleUnusable": {
			fires:  `hygiene_certificate_ocsp_status{object="www.example.org:443", source="stapled", status="stale", owner="web"} 1`,
			silent: `hygiene_certificate_ocsp_status{object="www.example.org:443", source="responder", status="unverified", owner="web"} 1`,
		},
		"HygieneCertificateServedOutdated": {
			fires:  `hygiene_certificate_served_outdated{object="/etc/ssl/www.pem", listener="0.0.0.0:443", owner="web"} 1`,
			silent: `hygiene_certificate_served_outdated{object="/etc/ssl/www.pem", listener="0.0.0.0:443", owner="web"} 0`,
		},
		"HygieneCertificateListenerUnmonitored": {
			fires:  `hygiene_certificate_listener_unmonitored{object="listener/0.0.0.0:8443"} 1`,
			silent: `hygiene_certificate_listener_unmonitored{object="listener/0.0.0.0:8443"} 0`,
		},
		"HygieneCertificateRevocationUnknown": {
			fires:  `hygiene_certificate_ocsp_status{object="www.example.org:443", source="crl", status="unknown", owner="web"} 1`,
			silent: `hygiene_certificate_ocsp_status{object="www.example.org:443", source="responder", status="good", owner="web"} 1`,
		},
		"HygieneCertificateWeakKey": {
			fires:  `hygiene_certificate_finding{object="/etc/ssl/a.pem", slot="leaf", finding="weak_key", owner="web"} 1`,
			silent: `hygiene_certificate_finding{object="/etc/ssl/a.pem", slot="leaf", finding="other", owner="web"} 1`,
		},
		"HygieneCertificateWeakSignature": {
			fires:  `hygiene_certificate_finding{object="/etc/ssl/a.pem", slot="leaf", finding="weak_signature", owner="web"} 1`,
			silent: `hygiene_certificate_finding{object="/etc/ssl/a.pem", slot="leaf", finding="other", owner="web"} 1`,
		},
		"HygieneCertificateChainDisordered": {
			fires:  `hygiene_certificate_finding{object="/etc/ssl/a.pem", slot="leaf", finding="chain_disordered", owner="web"} 1`,
			silent: `hygiene_certificate_finding{object="/etc/ssl/a.pem", slot="leaf", finding="other", owner="web"} 1`,
		},
		"HygieneCertificateKeyMismatch": {
			fires:  `hygiene_certificate_finding{object="/etc/ssl/a.pem", slot="leaf", finding="key_mismatch", owner="web"} 1`,
			silent: `hygiene_certificate_finding{object="/etc/ssl/a.pem", slot="leaf", finding="other", owner="web"} 1`,
		},
		"HygieneCertificateKeyExposed": {
			fires:  `hygiene_certificate_finding{object="/etc/ssl/a.pem", slot="leaf", finding="key_exposed", owner="web"} 1`,
			silent: `hygiene_certificate_finding{object="/etc/ssl/a.pem", slot="leaf", finding="other", owner="web"} 1`,
		},
		"HygienePortDangerous": {
			fires: `
				hygiene_port_policy_violation_since_timestamp_seconds{object="tcp/wildcard:6379@redis.service", exposure="wildcard", policy="dangerous", owner="web"} now`,
			silent: `
				hygiene_port_policy_violation_since_timestamp_seconds{object="tcp/wildcard:6379@redis.service", exposure="wildcard", policy="dangerous", owner="web"} now
				hygiene_port_firewall{object="tcp/wildcard:6379@redis.service", verdict="dropped", owner="web"} 1`,
		},
		"HygienePortForbidden": {
			fires: `
				hygiene_port_policy_violation_since_timestamp_seconds{object="tcp/wildcard:8080@app.service", exposure="loopback", policy="forbidden", owner="web"} now`,
			silent: `
				hygiene_port_policy_violation_since_timestamp_seconds{object="tcp/wildcard:8080@app.service", exposure="loopback", policy="unexpected", owner="web"} now`,
		},
		"HygienePortUnexpectedPublic": {
			fires: `
				hygiene_port_policy_violation_since_timestamp_seconds{object="tcp/wildcard:8080@app.service", exposure="published", policy="unexpected", owner="web"} now`,
			silent: `
				hygiene_port_policy_violation_since_timestamp_seconds{object="tcp/wildcard:8080@app.service", exposure="private", policy="unexpected", owner="web"} now
				hygiene_port_policy_violation_since_timestamp_seconds{object="tcp/wildcard:6379@redis.service", exposure="wildcard", policy="dangerous", owner="web"} now`,
		},
		"HygienePortUnexpected": {
			fires: `
				hygiene_port_policy_violation_since_timestamp_seconds{object="tcp/wildcard:8080@app.service", exposure="private", policy="unexpected", owner="web"} now-1h`,
			silent: `
				hygiene_port_policy_violation_since_timestamp_seconds{object="tcp/wildcard:8080@app.service", exposure="private", policy="expired", owner="web"} now`,
		},
		"HygienePortRequiredMissing": {
			fires: `
				hygiene_port_required_missing_since_timestamp_seconds{object="tcp/any:22@ssh.service", owner="web"} now`,
			silent: `
				hygiene_port_listener_info{object="tcp/any:22@ssh.service", policy="required", owner="web"} 1`,
		},
		"HygienePortExceptionExpired": {
			fires: `
				hygiene_port_policy_violation_since_timestamp_seconds{object="tcp/wildcard:8080@app.service", exposure="wildcard", policy="expired", owner="web"} now`,
			silent: `
				hygiene_port_exception_expiry_timestamp_seconds{object="tcp/wildcard:8080@app.service", owner="web"} now+1d`,
		},
		"HygienePortExecutableWritable": {
			fires: `
				hygiene_port_finding{object="tcp/wildcard:8080@app.service", finding="executable_writable", owner="web"} 1`,
			silent: `
				hygiene_port_finding{object="tcp/wildcard:8080@app.service", finding="root_on_wildcard", owner="web"} 1`,
		},
		"HygienePortExecutableDeleted": {
			fires: `
				hygiene_port_finding{object="tcp/wildcard:8080@app.service", finding="executable_deleted", owner="web"} 1`,
			silent: `
				hygiene_port_finding{object="tcp/wildcard:8080@app.service", finding="root_on_wildcard", owner="web"} 1`,
		},
		"HygienePortFirewallBypassed": {
			fires: `
				hygiene_port_finding{object="tcp/wildcard:8080@app.service", finding="bypasses_input", owner="web"} 1`,
			silent: `
				hygiene_port_finding{object="tcp/wildcard:8080@app.service", finding="root_on_wildcard", owner="web"} 1`,
		},
		"HygienePortRequiredDropped": {
			fires: `
				hygiene_port_finding{object="tcp/wildcard:8080@app.service", finding="required_dropped", owner="web"} 1`,
			silent: `
				hygiene_port_finding{object="tcp/wildcard:8080@app.service", finding="root_on_wildcard", owner="web"} 1`,
		},
		"HygienePortInspectionDegraded": {
			fires: `
				hygiene_port_namespaces{state="skipped"} 1
				hygiene_port_attribution{how="none"} 3
				hygiene_port_attribution{how="cgroup"} 2
				hygiene_port_attribution{how="process"} 0`,
			silent: `
				hygiene_port_namespaces{state="skipped"} 0
				hygiene_port_namespaces{state="inspected"} 7
				hygiene_port_attribution{how="none"} 2
				hygiene_port_attribution{how="cgroup"} 1
				hygiene_port_attribution{how="process"} 1`,
		},
		"HygienePatchSecurityOverdue": {
			fires: `
				hygiene_patch_deadline_timestamp_seconds{object="apt", class="security", advisory="unrated", owner="sre"} now
				hygiene_patch_deadline_timestamp_seconds{object="apt", class="security", advisory="low", owner="sre"} now+1d
				hygiene_patch_deadline_timestamp_seconds{object="dnf", class="security", advisory="moderate"} now-9d`,
			silent: `
				hygiene_patch_deadline_timestamp_seconds{object="apt", class="security", advisory="unrated", owner="sre"} now+1s
				hygiene_patch_deadline_timestamp_seconds{object="apt", class="other", advisory="unrated", owner="sre"} now-1d`,
		},
		"HygienePatchSecurityOverdueCritical": {
			fires: `
				hygiene_patch_oldest_pending_timestamp_seconds{object="apt", class="security", advisory="unrated", owner="sre"} now-28d
				hygiene_patch_deadline_timestamp_seconds{object="apt", class="security", advisory="unrated", owner="sre"} now-14d
				hygiene_patch_oldest_pending_timestamp_seconds{object="dnf", class="security", advisory="critical"} now-3d
				hygiene_patch_deadline_timestamp_seconds{object="dnf", class="security", advisory="critical"} now
				hygiene_patch_oldest_pending_timestamp_seconds{object="dnf", class="security", advisory="important"} now-60d
				hygiene_patch_deadline_timestamp_seconds{object="dnf", class="security", advisory="important"} now-53d`,
			silent: `
				hygiene_patch_oldest_pending_timestamp_seconds{object="apt", class="security", advisory="unrated", owner="sre"} now-27d
				hygiene_patch_deadline_timestamp_seconds{object="apt", class="security", advisory="unrated", owner="sre"} now-13d
				hygiene_patch_oldest_pending_timestamp_seconds{object="dnf", class="security", advisory="critical"} now-2d
				hygiene_patch_deadline_timestamp_seconds{object="dnf", class="security", advisory="critical"} now+1d`,
		},
		"HygienePatchOtherOverdue": {
			fires:  `hygiene_patch_deadline_timestamp_seconds{object="apt", class="other", advisory="unrated", owner="sre"} now`,
			silent: `hygiene_patch_deadline_timestamp_seconds{object="apt", class="other", advisory="unrated", owner="sre"} now+1s`,
		},
		"HygienePatchSecurityHeld": {
			fires: `
				hygiene_patch_pending{object="apt", class="security", state="held", owner="sre"} 2
				hygiene_patch_pending_info{object="apt", package="openssl", installed="1", candidate="2", class="security", advisory="unrated", state="held", owner="sre"} 1`,
			silent: `
				hygiene_patch_pending{object="apt", class="security", state="held", owner="sre"} 0
				hygiene_patch_pending{object="apt", class="other", state="held", owner="sre"} 2`,
		},
		"HygienePatchNotEntitled": {
			fires:  `hygiene_patch_pending{object="apt", class="security", state="not_entitled", owner="sre"} 2`,
			silent: `hygiene_patch_pending{object="apt", class="security", state="not_entitled", owner="sre"} 0`,
		},
		"HygienePatchMetadataStale": {
			fires:  `hygiene_patch_metadata_deadline_timestamp_seconds{object="apt/deb.example.org/debian/bookworm", owner="sre"} now`,
			silent: `hygiene_patch_metadata_deadline_timestamp_seconds{object="apt/deb.example.org/debian/bookworm", owner="sre"} now+1s`,
		},
		"HygienePatchMetadataExpired": {
			fires:  `hygiene_patch_metadata_valid_until_timestamp_seconds{object="apt/deb.example.org/debian/bookworm", owner="sre"} now`,
			silent: `hygiene_patch_metadata_valid_until_timestamp_seconds{object="apt/deb.example.org/debian/bookworm", owner="sre"} now+1s`,
		},
		"HygienePatchRebootOverdue": {
			fires:  `hygiene_patch_reboot_deadline_timestamp_seconds{object="host", owner="sre"} now`,
			silent: `hygiene_patch_reboot_deadline_timestamp_seconds{object="host", owner="sre"} now+1s`,
		},
		"HygienePatchServiceOutdated": {
			fires:  `hygiene_patch_restart_deadline_timestamp_seconds{object="nginx.service", owner="sre"} now`,
			silent: `hygiene_patch_restart_deadline_timestamp_seconds{object="nginx.service", owner="sre"} now+1s`,
		},
		"HygienePatchSupportEnded": {
			fires:  `hygiene_patch_support_covered_until_timestamp_seconds{object="host", owner="sre"} now`,
			silent: `hygiene_patch_support_covered_until_timestamp_seconds{object="host", owner="sre"} now+1s`,
		},
		"HygienePatchSupportEnding": {
			fires:  `hygiene_patch_support_deadline_timestamp_seconds{object="host", owner="sre"} now`,
			silent: `hygiene_patch_support_deadline_timestamp_seconds{object="host", owner="sre"} now+1s`,
		},
		"HygienePatchMetadataFrozen": {
			fires:  `hygiene_patch_metadata_published_deadline_timestamp_seconds{object="apt/archive.ubuntu.com/ubuntu/noble-security", owner="sre"} now`,
			silent: `hygiene_patch_metadata_published_deadline_timestamp_seconds{object="apt/archive.ubuntu.com/ubuntu/noble-security", owner="sre"} now+1s`,
		},
		"HygienePatchAutomaticFailing": {
			fires:  `hygiene_patch_automatic_deadline_timestamp_seconds{object="apt", owner="sre"} now`,
			silent: `hygiene_patch_automatic_deadline_timestamp_seconds{object="apt", owner="sre"} now+1s`,
		},
		"HygienePatchSecurityUnknown": {
			fires: `hygiene_patch_security_known{object="dnf", owner="sre"} 0`,
			silent: `
				hygiene_patch_security_known{object="apt", owner="sre"} 1
				hygiene_patch_security_known{object="pacman", owner="sre"} 0
				hygiene_patch_security_known{object="apk", owner="sre"} 0`,
		},
		"HygieneAgentProbeStale": {
			fires: `
				hygiene_probe_due_timestamp_seconds{name="certificate"} now
				hygiene_probe_due_timestamp_seconds{name="patch"} now-1h`,
			silent: `
				hygiene_probe_due_timestamp_seconds{name="certificate"} now+1s`,
		},
		"HygieneAgentUnreadable": {
			fires: `
				hygiene_probe_fault_since_timestamp_seconds{name="certificate", object="/etc/ssl/a.pem", reason="permission_denied"} now-1h
				hygiene_probe_fault_since_timestamp_seconds{name="backup", object="/etc/ssl/a.pem", reason="malformed"} now
				hygiene_probe_fault_since_timestamp_seconds{name="patch", object="host", reason="locked"} now-5m`,
			silent: `
				hygiene_probe_faulted_objects{name="certificate", reason="permission_denied"} 0`,
		},
		"HygieneAgentConfigReloadFailed": {
			fires:  `hygiene_config_last_reload_successful 0`,
			silent: `hygiene_config_last_reload_successful 1`,
		},
		"HygieneAgentClockUnsynchronised": {
			fires:  `hygiene_agent_clock_synchronised 0`,
			silent: `hygiene_agent_clock_synchronised 1`,
		},
		"HygieneAgentStateWriteFailed": {
			fires:  `hygiene_state_last_write_successful 0`,
			silent: `hygiene_state_last_write_successful 1`,
		},
		"HygieneAgentSeriesTruncated": {
			fires: `
				hygiene_series_truncated{name="certificate"} 1
				hygiene_series_truncated{name="port"} 0`,
			silent: `hygiene_series_truncated{name="certificate"} 0`,
		},
	})
	return all
}

func TestEveryRuleHasItsCases(t *testing.T) {
	t.Parallel()
	left := cases()
	for _, rule := range load(t).Rules() {
		if _, has := left[rule.Alert]; !has {
			t.Errorf("%s has no case", rule.Alert)
		}
		delete(left, rule.Alert)
	}
	for alert := range left {
		t.Errorf("no rule has the alert %s", alert)
	}
}

func TestRuleFileHoldsAllRules(t *testing.T) {
	t.Parallel()
	data, err := RuleFile()
	if err != nil {
		t.Fatal(err)
	}
	one, err := detect.Load([]detect.File{{Name: "all.yml", Data: data}}, contract())
	if err != nil {
		t.Fatal(err)
	}
	place := cmpopts.IgnoreFields(detect.Rule{}, "File", "Line")
	if diff := cmp.Diff(load(t).Rules(), one.Rules(), place); diff != "" {
		t.Errorf("rules (-files +one file):\n%s", diff)
	}
}

// TestRules fires each rule, compares what a person reads with the golden file,
// and shows that a central Prometheus with two such hosts finds the same on
// each of them.
func TestRules(t *testing.T) {
	t.Parallel()
	rules := load(t)
	var texts strings.Builder
	for _, rule := range rules.Rules() {
		samples := facts(t, cases()[rule.Alert].fires)
		s := snapshot(now, samples)
		e := rules.Evaluate(t.Context(), s, "")
		if len(e.Errors) > 0 {
			t.Errorf("%s: %v", rule.Alert, e.Errors)
		}
		var two []hit
		for _, finding := range e.Findings {
			if finding.Rule != rule.Alert {
				continue
			}
			object := finding.Object
			if rule.Object != "" {
				object = "" // Prometheus sets it as a label of the alert
			}
			two = append(two, hit{"a:1", object, finding.Owner}, hit{"b:1", object, finding.Owner})
			text, err := rules.Text(t.Context(), s, finding.Key)
			if err != nil {
				t.Error(err)
			}
			fmt.Fprintf(&texts, "%s %s %s/%s/%s owner %q for %s\n  %s.\n  %s\n  Impact: %s\n  Action: %s\n\n", finding.Rule,
				finding.Severity, finding.Probe, finding.Check, finding.Object, finding.Owner, finding.For,
				text.Summary, text.Description, text.Impact, text.Action)
		}
		if len(two) == 0 {
			t.Errorf("%s does not fire", rule.Alert)
		}
		slices.SortFunc(two, compare)
		if diff := cmp.Diff(two, central(t, rule.Expr, samples, "a:1", "b:1")); diff != "" {
			t.Errorf("%s on two hosts (-agent +central):\n%s", rule.Alert, diff)
		}
	}
	golden(t, "texts.golden", texts.String())
}

func TestRulesAreSilent(t *testing.T) {
	t.Parallel()
	rules := load(t)
	for _, rule := range rules.Rules() {
		t.Run(rule.Alert, func(t *testing.T) {
			t.Parallel()
			samples := facts(t, cases()[rule.Alert].silent)
			e := rules.Evaluate(t.Context(), snapshot(now, samples), "")
			if len(e.Errors) > 0 {
				t.Error(e.Errors)
			}
			for _, finding := range e.Findings {
				if finding.Rule == rule.Alert {
					t.Errorf("fires: %+v", finding)
				}
			}
			if hits := central(t, rule.Expr, samples, "a:1", "b:1"); len(hits) > 0 {
				t.Errorf("fires centrally: %v", hits)
			}
		})
	}
}

// TestTextsWithoutAResult shows what a person reads of a problem that is held.
func TestTextsWithoutAResult(t *testing.T) {
	t.Parallel()
	rules := load(t)
	for _, rule := range rules.Rules() {
		key := ledger.Key{Probe: rule.Probe, Check: rule.Check, Object: "thing", Severity: rule.Severity}
		text, err := rules.Text(t.Context(), snapshot(now, nil), key)
		if err != nil {
			t.Error(err)
		}
		if text.Current || text.Summary == "" || text.Impact == "" {
			t.Errorf("%s: %+v", rule.Alert, text)
		}
		if text.Action == "" && rule.Alert != "HygieneAgentStateWriteFailed" {
			t.Errorf("%s says nothing to do", rule.Alert)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestRunbooks(t *testing.T) {
	t.Parallel()
	sections := []string{"Meaning", "Impact", "Diagnosis", "Mitigation", "When it closes"}
	wanted := make(map[string]bool)
	for _, rule := range load(t).Rules() {
		wanted[rule.Probe+"-"+rule.Check+".md"] = true
		text, err := Runbook(rule.Probe, rule.Check)
		if err != nil {
			t.Errorf("%s: %v", rule.Alert, err)
			continue
		}
		if !strings.HasPrefix(text, "# "+rule.Probe+"/"+rule.Check+"\n") {
			t.Errorf("%s: the runbook does not begin with the name of its check", rule.Alert)
		}
		if !strings.Contains(text, rule.Alert) {
			t.Errorf("%s: the runbook does not name the alert", rule.Alert)
		}
		var found []string
		for line := range strings.Lines(text) {
			if heading, ok := strings.CutPrefix(line, "## "); ok {
				found = append(found, strings.TrimSpace(heading))
			}
		}
		if diff := cmp.Diff(sections, found); diff != "" {
			t.Errorf("%s: sections (-want +got):\n%s", rule.Alert, diff)
		}
		if !strings.Contains(text, "hygiene_exporter ") {
			t.Errorf("%s: the runbook names no command of the agent", rule.Alert)
		}
	}
	files, err := filepath.Glob("runbooks/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !wanted[filepath.Base(file)] {
			t.Errorf("%s belongs to no check", file)
		}
	}
	for _, check := range []string{"unknown", "../rules/agent", ""} {
		if _, err := Runbook("agent", check); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("runbook of %q: %v", check, err)
		}
	}
}

// TestPromtoolFiles reads the tests that promtool runs, and finds each alert in
// them twice: among what fires and among what is silent.
func TestPromtoolFiles(t *testing.T) {
	t.Parallel()
	for _, rule := range load(t).Rules() {
		data, err := os.ReadFile(filepath.Join("rules", "tests", strings.TrimSuffix(rule.File, ".yml")+"_test.yml"))
		if err != nil {
			t.Fatal(err)
		}
		quoted := `alertname="` + rule.Alert + `"`
		if n := strings.Count(string(data), quoted); n < 2 {
			t.Errorf("%s: %s occurs %d times", rule.Alert, quoted, n)
		}
		if strings.Count(string(data), "expr: 'ALERTS{"+quoted) < 2 {
			t.Errorf("%s is not asked for on two occasions", rule.Alert)
		}
	}
}
