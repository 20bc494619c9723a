package alerts

// fileCases are those of the rules on files of certificates.
func fileCases() map[string]struct{ fires, silent string } {
	cases := map[string]struct{ fires, silent string }{
		"HygieneCertificateCRLOverdue": {
			fires:  `hygiene_certificate_crl_overdue_timestamp_seconds{object="/etc/openvpn/crl.pem", owner="vpn"} now`,
			silent: `hygiene_certificate_crl_overdue_timestamp_seconds{object="/etc/openvpn/crl.pem", owner="vpn"} now+1s`,
		},
		"HygieneCertificateCRLExpired": {
			fires:  `hygiene_certificate_crl_next_update_timestamp_seconds{object="/etc/openvpn/crl.pem", owner="vpn"} now`,
			silent: `hygiene_certificate_crl_next_update_timestamp_seconds{object="/etc/openvpn/crl.pem", owner="vpn"} now+1s`,
		},
	}
	for rule, finding := range map[string]string{
		"HygieneCertificateChainIncomplete":       "chain_incomplete",
		"HygieneCertificateUntrusted":             "untrusted",
		"HygieneCertificateSelfSigned":            "self_signed",
		"HygieneCertificateNoSAN":                 "no_san",
		"HygieneCertificateLifetimeExceedsPolicy": "lifetime_exceeds_policy",
		"HygieneCertificateOlderDuplicate":        "older_duplicate",
		"HygieneCertificateCRLSignatureInvalid":   "crl_signature_invalid",
		"HygieneCertificateCRLWithoutNextUpdate":  "crl_without_next_update",
	} {
		cases[rule] = struct{ fires, silent string }{
			fires: `
				hygiene_certificate_finding{object="/etc/ssl/a.pem", slot="leaf", finding="` + finding + `", owner="web"} 1
				hygiene_certificate_finding{object="/etc/ssl/a.pem", slot="leaf2", finding="` + finding + `", owner="web"} 1`,
			silent: `hygiene_certificate_finding{object="/etc/ssl/a.pem", slot="leaf", finding="nonconforming", owner="web"} 1`,
		}
	}
	return cases
}
