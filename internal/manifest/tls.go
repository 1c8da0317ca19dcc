package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/util/validation"
)

// TLSPort is the gateway's port where TLS is asked for and --gateway-port is
// silent.
const TLSPort = 443

// CASuffix ends the name of a Secret that holds nothing but the CA of another's
// clients; Istio looks for one beside the Secret that a Gateway names.
const CASuffix = "-cacert"

// What --tls-mode takes.
const (
	ModeSimple = "simple" // the gateway shows its certificate
	ModeMutual = "mutual" // and asks for the client's
)

// TLS is how a gateway's port is secured. The zero value is plaintext.
type TLS struct {
	Secret string // with the certificate, in the namespace of the gateway's pods
	Mutual bool   // clients must show a certificate too
}

// On says whether it is TLS at all.
func (t TLS) On() bool { return t.Secret != "" }

// Mode is the word for it: "simple", "mutual" or, for plaintext, "".
func (t TLS) Mode() string {
	switch {
	case !t.On():
		return ""
	case t.Mutual:
		return ModeMutual
	}
	return ModeSimple
}

// TLS is what the Intent asks of the gateway's port.
func (i Intent) TLS() TLS { return TLS{Secret: i.TLSSecret, Mutual: i.TLSMode == ModeMutual} }

func (i Intent) validTLS() error {
	switch {
	case i.TLSMode != "" && i.TLSMode != ModeSimple && i.TLSMode != ModeMutual:
		return &InvalidError{"--tls-mode", i.TLSMode, "is neither simple nor mutual"}
	case i.TLSMode != "" && i.TLSSecret == "":
		return &InvalidError{"--tls-mode", i.TLSMode, "needs the Secret that holds the gateway's certificate (--tls-secret)"}
	case i.TLSSecret == "":
		return nil
	case strings.HasSuffix(i.TLSSecret, CASuffix):
		return &InvalidError{"--tls-secret", i.TLSSecret, "Istio takes a name that ends in " + CASuffix + " for a CA's; name the Secret of the gateway's certificate, the CA's beside it is found"}
	}
	if msgs := validation.IsDNS1123Subdomain(i.TLSSecret); len(msgs) > 0 {
		return &InvalidError{"--tls-secret", i.TLSSecret, msgs[0]}
	}
	return nil
}

// portName tells a Gateway's servers apart; each needs a name of its own. That
// of TLS begins with https, and must not with clb-https: that would move TLS to
// the load balancer of Tencent's mesh.
func (s Server) portName() string {
	if !s.TLS.On() {
		return PortName + "-" + strconv.Itoa(s.Port)
	}
	base := "https-" + strconv.Itoa(s.Port) + "-"
	if s.TLS.Mutual {
		base = "https-" + ModeMutual + "-" + strconv.Itoa(s.Port) + "-"
	}
	name := base + s.TLS.Secret
	if len(validation.IsDNS1123Label(name)) == 0 {
		return name
	}
	sum := sha256.Sum256([]byte(name)) // a Secret's name may be longer, and have dots
	return base + hex.EncodeToString(sum[:4])
}

// Spec is the server as a Gateway has it. Istio offers HTTP/2 by ALPN on each
// server of protocol HTTPS.
func (s Server) Spec() *networking.Server {
	if s.As != nil {
		spec := s.As.DeepCopy()
		spec.Hosts = s.Hosts
		return spec
	}
	spec := &networking.Server{Port: &networking.Port{Number: uint32(s.Port), Name: s.portName(), Protocol: "GRPC"}, Hosts: s.Hosts}
	if s.TLS.On() {
		spec.Port.Protocol = "HTTPS"
		spec.Tls = &networking.ServerTLSSettings{Mode: networking.ServerTLSSettings_SIMPLE, CredentialName: s.TLS.Secret,
			MinProtocolVersion: networking.ServerTLSSettings_TLSV1_2}
		if s.TLS.Mutual {
			spec.Tls.Mode = networking.ServerTLSSettings_MUTUAL
		}
	}
	return spec
}

// Mixed is a port that is to speak both TLS and plaintext, which none can; 0:
// there is none.
func Mixed(servers []Server) int {
	for _, s := range servers {
		if slices.ContainsFunc(servers, func(o Server) bool { return o.Port == s.Port && o.TLS.On() != s.TLS.On() }) {
			return s.Port
		}
	}
	return 0
}

// TwoCertificates is a host that is to have two certificates on one port, which
// none can; "": there is none.
func TwoCertificates(servers []Server) string {
	for _, s := range servers {
		for _, o := range servers {
			if s.TLS == o.TLS || s.Port != o.Port {
				continue
			}
			for _, host := range s.Hosts {
				if slices.ContainsFunc(o.Hosts, func(h string) bool { return strings.EqualFold(h, host) }) {
					return host
				}
			}
		}
	}
	return ""
}
