package bundle

import (
	"crypto/dsa" //nolint:staticcheck // to name the key of an old certificate, not to use it
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"strings"

	"hygiene_exporter/probes/certificate/ber"
)

// KeyText names a public key by its algorithm and size, such as "rsa-2048". It is
// "unknown" for a key of another kind.
func KeyText(key any) string {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("rsa-%d", key.N.BitLen())
	case *ecdsa.PublicKey:
		return "ecdsa-" + key.Curve.Params().Name
	case ed25519.PublicKey:
		return "ed25519"
	case *dsa.PublicKey:
		return fmt.Sprintf("dsa-%d", key.P.BitLen())
	}
	return "unknown"
}

// keyText names an encoded public key, a SubjectPublicKeyInfo, in the same way,
// and also those that Go does not know. One that nobody knows shows as its
// identifier.
func keyText(spki ber.Element) string {
	c := spki.Inside()
	algorithm := c.Enter("algorithm", ber.TagSequence)
	oid := algorithm.Take("algorithm", ber.TagOID).OID()
	key := c.Take("key", tagBitString).Content // a BIT STRING, whose first byte is no part of the key
	switch oid {
	case oidRSA, oidRSAPSS: // RSA, and RSA for PSS only: RFC 8017 §A.1.1
		if len(key) > 0 {
			outer := ber.Cursor{Rest: key[1:]}
			modulus := outer.Enter("key", ber.TagSequence).Take("modulus", ber.TagInteger)
			return fmt.Sprintf("rsa-%d", integer(modulus.Content).BitLen())
		}
	case "1.2.840.10040.4.1": // DSA, RFC 3279 §2.3.2
		prime := algorithm.Enter("parameters", ber.TagSequence).Take("prime", ber.TagInteger)
		return fmt.Sprintf("dsa-%d", integer(prime.Content).BitLen())
	case oidEllipticCurve: // RFC 5480 §2.1.1
		return "ecdsa-" + curve(algorithm.Any("curve").OID())
	}
	return named(oid)
}

// curve names those of RFC 5480, RFC 5639 and SEC 2.
func curve(oid string) string {
	switch oid {
	case "1.2.840.10045.3.1.1":
		return "P-192"
	case "1.3.132.0.33":
		return "P-224"
	case "1.2.840.10045.3.1.7":
		return "P-256"
	case "1.3.132.0.34":
		return "P-384"
	case "1.3.132.0.35":
		return "P-521"
	case "1.3.36.3.3.2.8.1.1.1":
		return "brainpoolP160r1"
	case "1.3.36.3.3.2.8.1.1.3":
		return "brainpoolP192r1"
	case "1.3.36.3.3.2.8.1.1.5":
		return "brainpoolP224r1"
	case "1.3.36.3.3.2.8.1.1.7":
		return "brainpoolP256r1"
	case "1.3.36.3.3.2.8.1.1.9":
		return "brainpoolP320r1"
	case "1.3.36.3.3.2.8.1.1.11":
		return "brainpoolP384r1"
	case "1.3.36.3.3.2.8.1.1.13":
		return "brainpoolP512r1"
	case "1.3.132.0.10":
		return "secp256k1"
	case "1.3.132.0.31":
		return "secp192k1"
	case "1.3.132.0.32":
		return "secp224k1"
	case "1.2.156.10197.1.301":
		return "sm2-256"
	}
	return oid
}

// named names the algorithms of keys of one size: RFC 8410, FIPS 204 and 205.
func named(oid string) string {
	switch oid {
	case "1.3.101.112":
		return "ed25519"
	case "1.3.101.113":
		return "ed448"
	case "2.16.840.1.101.3.4.3.17":
		return "ml-dsa-44"
	case "2.16.840.1.101.3.4.3.18":
		return "ml-dsa-65"
	case "2.16.840.1.101.3.4.3.19":
		return "ml-dsa-87"
	}
	if number, ok := strings.CutPrefix(oid, "2.16.840.1.101.3.4.3."); ok && number >= "20" && number <= "31" && len(number) == 2 {
		return "slh-dsa"
	}
	return oid
}

// signatureText names the algorithm of a signature as the standard library does.
func signatureText(algorithm ber.Element) string {
	c := algorithm.Inside()
	oid := c.Take("algorithm", ber.TagOID).OID()
	if oid == oidRSAPSS {
		return pssHash(c) + "-RSAPSS"
	}
	if name := signature(oid); name != oid {
		return name
	}
	return named(oid)
}

// pssHash reads the hash from the parameters of RSASSA-PSS, RFC 8017 §A.2.3,
// where none stands for SHA-1.
func pssHash(c *ber.Cursor) string {
	parameters := c.Enter("parameters", ber.TagSequence)
	if !parameters.At(ber.TagNested0) {
		return "SHA1"
	}
	oid := parameters.Enter("hash", ber.TagNested0).Enter("hash", ber.TagSequence).Take("hash", ber.TagOID).OID()
	switch oid {
	case "1.3.14.3.2.26":
		return "SHA1"
	case "2.16.840.1.101.3.4.2.1":
		return "SHA256"
	case "2.16.840.1.101.3.4.2.2":
		return "SHA384"
	case "2.16.840.1.101.3.4.2.3":
		return "SHA512"
	}
	return oid
}

// signature names those of RFC 3279, RFC 4055, RFC 5758 and RFC 8410, and what
// came before.
func signature(oid string) string {
	switch oid {
	case "1.2.840.113549.1.1.2":
		return "MD2-RSA"
	case "1.2.840.113549.1.1.3":
		return "MD4-RSA"
	case "1.2.840.113549.1.1.4", "1.3.14.3.2.3":
		return "MD5-RSA"
	case "1.2.840.113549.1.1.5", "1.3.14.3.2.29", "1.3.14.3.2.15":
		return "SHA1-RSA"
	case "1.2.840.113549.1.1.14":
		return "SHA224-RSA"
	case "1.2.840.113549.1.1.11":
		return "SHA256-RSA"
	case "1.2.840.113549.1.1.12":
		return "SHA384-RSA"
	case "1.2.840.113549.1.1.13":
		return "SHA512-RSA"
	case "1.2.840.10040.4.3", "1.3.14.3.2.27":
		return "DSA-SHA1"
	case "2.16.840.1.101.3.4.3.2":
		return "DSA-SHA256"
	case "1.2.840.10045.4.1":
		return "ECDSA-SHA1"
	case "1.2.840.10045.4.3.1":
		return "ECDSA-SHA224"
	case "1.2.840.10045.4.3.2":
		return "ECDSA-SHA256"
	case "1.2.840.10045.4.3.3":
		return "ECDSA-SHA384"
	case "1.2.840.10045.4.3.4":
		return "ECDSA-SHA512"
	case "1.3.101.112":
		return "Ed25519"
	case "1.2.156.10197.1.501":
		return "SM2-SM3"
	}
	return oid
}
