package check

import "fmt"

// TLS is how a connection was secured.
type TLS struct {
	Version    string `json:"version"`
	ServerName string `json:"serverName"` // the name that the certificate had to be for
	// Unverified: the certificate was not verified, as asked. Refusal is then why
	// a client that verifies would have refused it, or "".
	Unverified bool   `json:"unverified,omitempty"`
	Refusal    string `json:"refusal,omitempty"`
	// ClientCertificate: there was one to show, had the server asked.
	ClientCertificate bool `json:"clientCertificate,omitempty"`
}

// String is TLS in words, without what stands in the way of trusting it.
func (t *TLS) String() string {
	words := t.Version + ", certificate for " + t.ServerName + " verified"
	if t.Unverified {
		words = t.Version + ", certificate NOT VERIFIED"
	}
	if t.ClientCertificate {
		words += ", with a client certificate"
	}
	return words
}

// unverified marks a result that anyone who answers could have brought about.
func (d *digest) unverified() []Finding {
	if d.TLS == nil || !d.TLS.Unverified {
		return nil
	}
	message := "the server's certificate was not verified, as asked: whoever answered may be anyone"
	if d.TLS.Refusal != "" {
		message += fmt.Sprintf("; a client that verifies refuses it (%q)", d.TLS.Refusal)
	}
	return []Finding{found(codeUnverified, d.where(), message, "run it again without --insecure-skip-verify, with --ca-file where the CA is not one of the system's")}
}
