package cmd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/probe"
)

// findSecret looks at the Secret that the gateway is to take its certificate
// from. A user who may not read it goes on, and is told that it was not looked
// at: no verb on Secrets is asked for.
func (x *exposer) findSecret(ctx context.Context) error {
	want, ns := x.exposure.TLS, x.ingress.Namespace
	if !want.On() {
		return nil
	}
	secret, err := x.readSecret(ctx, ns, want.Secret)
	if err != nil || secret == nil {
		return err
	}
	of := secret
	if want.Mutual {
		beside, err := x.readSecret(ctx, ns, want.Secret+manifest.CASuffix)
		switch {
		case err == nil && beside != nil:
			of = beside
		case err == nil:
			return nil // it may be there
		case !errors.As(err, new(*k8s.NotReadyError)):
			return err
		}
	}
	leaf, between, why := certificateIn(secret)
	if why == "" && want.Mutual {
		why = lacksCA(of)
	}
	if why != "" {
		return &k8s.NotReadyError{Code: finding.BadSecret, Namespace: ns, Subject: "Secret/" + want.Secret, Cause: "in namespace " + ns + ", " + why,
			Hint: "Nothing was written. A Secret that will do: kubectl -n " + ns + " create secret tls NAME --cert FILE --key FILE" + caHint(want.Mutual)}
	}
	for _, odd := range oddities(leaf, x.intent.Host, time.Now()) {
		x.found(finding.New(finding.OddSecret, ns, "Secret/"+want.Secret, "its certificate "+odd+", so clients will refuse it",
			"Put another into it; the gateway takes it up by itself."))
	}
	_, err = leaf.Verify(x509.VerifyOptions{Intermediates: between, CurrentTime: leaf.NotBefore})
	x.ownCA = errors.As(err, new(x509.UnknownAuthorityError))
	return nil
}

// findPlaintext says where what is to be served by TLS is served in plaintext
// too: a route answers on every port of its Gateway.
func (x *exposer) findPlaintext(context.Context) error {
	for _, s := range x.exposure.Servers {
		if x.exposure.TLS.On() && istio.Covers([]manifest.Server{s}, x.exposure.Namespace, s.Port, manifest.TLS{}, x.exposure.Host) {
			x.warn("host %s is served in plaintext too, on port %d: Gateway/%s listens there for others, and a route answers on each of its Gateway's ports", x.exposure.Host, s.Port, x.exposure.Gateway().Name)
		}
	}
	return nil
}

// readSecret reads a Secret; nil without an error is one that this user may not
// read. One that is not there is a *k8s.NotReadyError.
func (x *exposer) readSecret(ctx context.Context, ns, name string) (*corev1.Secret, error) {
	secret, err := x.cluster.Core.CoreV1().Secrets(ns).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsForbidden(err):
		x.found(finding.New(finding.Unchecked, ns, "Secret/"+name, "it was not looked at, as this user may not read it: whether it is there, and holds a certificate with its key, is unchecked",
			"Ask for the permission (grpcmesh-secrets of docs/rbac.yaml), or whoever has it: kubectl -n "+ns+" describe secret "+name))
		return nil, nil //nolint:nilnil // not being allowed is no error here
	case apierrors.IsNotFound(err):
		return nil, &k8s.NotReadyError{Code: finding.NoSecret, Namespace: ns, Subject: "Secret/" + name,
			Cause: "namespace " + ns + " has none of that name, and the gateway takes its certificate from Secrets of its own namespace alone",
			Hint:  "Nothing was written. Make it: kubectl -n " + ns + " create secret tls " + name + " --cert FILE --key FILE" + caHint(x.exposure.TLS.Mutual)}
	case err != nil:
		return nil, fmt.Errorf("reading Secret %s/%s: %w", ns, name, err)
	}
	return secret, nil
}

func caHint(mutual bool) string {
	if !mutual {
		return ""
	}
	return "; and beside it the CA of the clients: create secret generic NAME" + manifest.CASuffix + " --from-file ca.crt=FILE"
}

// certificateIn finds the certificate and its key where istiod looks for them:
// under cert and key, else under tls.crt and tls.key. why: what is wrong.
func certificateIn(secret *corev1.Secret) (leaf *x509.Certificate, between *x509.CertPool, why string) {
	for _, keys := range [][2]string{{"cert", "key"}, {"tls.crt", "tls.key"}} {
		cert, key := secret.Data[keys[0]], secret.Data[keys[1]]
		if len(cert) == 0 || len(key) == 0 {
			continue
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, nil, fmt.Sprintf("its %s and %s are no certificate with its key: %s", keys[0], keys[1], err)
		}
		between = x509.NewCertPool()
		for _, der := range pair.Certificate[1:] {
			if c, err := x509.ParseCertificate(der); err == nil {
				between.AddCert(c)
			}
		}
		return pair.Leaf, between, ""
	}
	return nil, nil, fmt.Sprintf("it has neither tls.crt with tls.key nor cert with key (it is of type %s and has %s)", secret.Type, keysOf(secret))
}

// lacksCA is why a Secret holds no CA to judge clients by, or "".
func lacksCA(secret *corev1.Secret) string {
	for _, key := range []string{"cacert", "ca.crt"} {
		if ca := secret.Data[key]; len(ca) > 0 {
			if !x509.NewCertPool().AppendCertsFromPEM(ca) {
				return fmt.Sprintf("the %s of Secret %s holds no certificate in PEM", key, secret.Name)
			}
			return ""
		}
	}
	return fmt.Sprintf("for mutual TLS neither it nor a Secret named %s%s holds the CA of the clients as ca.crt (%s has %s)",
		strings.TrimSuffix(secret.Name, manifest.CASuffix), manifest.CASuffix, secret.Name, keysOf(secret))
}

func keysOf(secret *corev1.Secret) string {
	if len(secret.Data) == 0 {
		return "no keys"
	}
	return strings.Join(slices.Sorted(maps.Keys(secret.Data)), ", ")
}

// oddities are why clients that ask for the host will refuse the certificate.
func oddities(leaf *x509.Certificate, host string, now time.Time) []string {
	var why []string
	switch {
	case now.After(leaf.NotAfter):
		why = append(why, "expired at "+leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		why = append(why, "is not valid until "+leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	if name := authorityFor(host, ""); host != "*" && leaf.VerifyHostname(name) != nil {
		why = append(why, "is not for "+name)
	}
	return why
}

// met are the listeners that a client meets which calls the exposure.
func (x *exposer) met(routes istio.Routes, authority string) []istio.Listener {
	return istio.Met(routes.Listeners(x.ingress, x.open.Port), x.exposure.TLS.On(), authority)
}

// liveTLS is by what expose calls the gateway's replicas. It asks for the host,
// and takes any certificate: what it proves is the route, by port-forwards that
// the API server secures; whether clients trust the CA is theirs to say.
func (x *exposer) liveTLS() *tls.Config {
	if !x.exposure.TLS.On() {
		return nil
	}
	return &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} //nolint:gosec // see above; the report says so
}

// unproved is what a run that ended well leaves open about TLS, or "".
func (x *exposer) unproved() string {
	switch {
	case x.exposure.TLS.Mutual:
		return "no call was made, as the gateway asks for a client's certificate: it serves TLS for the host, and verify with one proves the rest"
	case x.exposure.TLS.On():
		return "the gateway's certificate was not verified: verify does"
	}
	return ""
}

// asksForCertificate is why a replica is not yet as mutual TLS asks for, or "".
// A client that has none must be turned away for just that, which takes a
// certificate of the gateway's own.
func asksForCertificate(conn *probe.Conn, err error) (why string) {
	var dial *probe.DialError
	switch {
	case err == nil:
		_ = conn.Close()
		return "the gateway does not ask clients for a certificate yet"
	case errors.As(err, &dial) && dial.Kind == probe.KindClientCert:
		return ""
	}
	return err.Error()
}
