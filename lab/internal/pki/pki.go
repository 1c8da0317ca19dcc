// Package pki makes the certificates and kubeconfigs of one lab. They are
// made anew at every start and mean nothing to any other lab.
package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Authority signs certificates into one folder.
type Authority struct {
	Folder      string
	certificate *x509.Certificate
	key         crypto.Signer
}

// Request is what a certificate shall say.
type Request struct {
	Name         string // the file's name, and the user's unless User is set
	User         string
	Groups       []string
	Hosts        []string // DNS names and IP addresses of a server; none makes a client's certificate
	AlsoForCalls bool     // a server's certificate that clients may show as well
}

// New makes an authority and writes ca.crt and ca.key into folder.
func New(folder string) (*Authority, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template, err := template(Request{Name: "grpcmesh-lab"})
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage |= x509.KeyUsageCertSign
	template.ExtKeyUsage = nil // a use named here would bind all that it signs
	data, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(data)
	if err != nil {
		return nil, err
	}
	a := &Authority{Folder: folder, certificate: certificate, key: key}
	return a, a.write("ca", data, key)
}

// Issue writes NAME.crt and NAME.key.
func (a *Authority) Issue(request Request) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template, err := template(request)
	if err != nil {
		return err
	}
	data, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("certificate %s: %w", request.Name, err)
	}
	return a.write(request.Name, data, key)
}

// IssueKey writes a bare key pair, NAME.key and NAME.pub, as tokens are
// signed with.
func (a *Authority) IssueKey(name string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	if err := a.writePEM(name+".pub", "PUBLIC KEY", public); err != nil {
		return err
	}
	return a.writeKey(name, key)
}

// Path is where the file of that name lies.
func (a *Authority) Path(file string) string { return filepath.Join(a.Folder, file) }

func template(request Request) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	user := request.User
	if user == "" {
		user = request.Name
	}
	now := time.Now()
	certificate := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: user, Organization: request.Groups},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(1, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if len(request.Hosts) > 0 {
		certificate.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		if request.AlsoForCalls {
			certificate.ExtKeyUsage = append(certificate.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
		}
	}
	for _, host := range request.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			certificate.IPAddresses = append(certificate.IPAddresses, ip)
		} else {
			certificate.DNSNames = append(certificate.DNSNames, host)
		}
	}
	return certificate, nil
}

func (a *Authority) write(name string, certificate []byte, key crypto.Signer) error {
	if err := a.writePEM(name+".crt", "CERTIFICATE", certificate); err != nil {
		return err
	}
	return a.writeKey(name, key)
}

func (a *Authority) writeKey(name string, key crypto.Signer) error {
	data, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return a.writePEM(name+".key", "PRIVATE KEY", data)
}

func (a *Authority) writePEM(file, kind string, data []byte) error {
	var text bytes.Buffer
	if err := pem.Encode(&text, &pem.Block{Type: kind, Bytes: data}); err != nil {
		return err
	}
	return os.WriteFile(a.Path(file), text.Bytes(), 0o600)
}
