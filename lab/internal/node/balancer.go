package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"grpcmesh/lab/internal/address"
	"grpcmesh/lab/internal/kube"
)

// service is what the balancer reads of a Service.
type service struct {
	Metadata struct {
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Type  string `json:"type"`
		Class string `json:"loadBalancerClass"`
	} `json:"spec"`
	Status struct {
		LoadBalancer struct {
			Ingress []struct {
				IP string `json:"ip"`
			} `json:"ingress"`
		} `json:"loadBalancer"`
	} `json:"status"`
}

// addresses hands out the balancers' addresses, one for each Service name.
type addresses struct {
	given map[string]string
	next  netip.Addr
}

func newAddresses() *addresses {
	first := netip.MustParseAddr(address.GatewayBalancer)
	return &addresses{
		given: map[string]string{"istio-system/istio-ingressgateway": first.String()},
		next:  first.Next(),
	}
}

// of returns the Service's address, the same at every call; a Service that is
// deleted and made again gets its old one back.
func (a *addresses) of(namespace, name string) (string, error) {
	key := namespace + "/" + name
	if a.given[key] == "" {
		if !netip.MustParsePrefix(address.Balancers).Contains(a.next) {
			return "", fmt.Errorf("no address is left in %s for Service %s; restart the lab", address.Balancers, key)
		}
		a.given[key] = a.next.String()
		a.next = a.next.Next()
	}
	return a.given[key], nil
}

// balance gives every Service of type LoadBalancer its address until ctx
// ends, as a cloud's controller would; kube-proxy does the rest. One that names
// a class is left to whoever plays that controller.
func balance(ctx context.Context, client *kube.Client, log io.Writer) {
	known := newAddresses()
	said := ""
	for ctx.Err() == nil {
		err := client.Watch(ctx, "/api/v1/services", func(object []byte) error {
			return assign(ctx, client, known, object)
		})
		// The server ends a watch every few minutes; that is no news, nor is
		// the same trouble twice.
		if text := err.Error(); !errors.Is(err, io.EOF) && ctx.Err() == nil && text != said {
			_, _ = fmt.Fprintf(log, "balancer: %v\n", err)
			said = text
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func assign(ctx context.Context, client *kube.Client, known *addresses, object []byte) error {
	var s service
	if err := json.Unmarshal(object, &s); err != nil {
		return err
	}
	if s.Spec.Type != "LoadBalancer" || s.Spec.Class != "" {
		return nil // or another controller's
	}
	ip, err := known.of(s.Metadata.Namespace, s.Metadata.Name)
	if err != nil {
		return err
	}
	if ingress := s.Status.LoadBalancer.Ingress; len(ingress) == 1 && ingress[0].IP == ip {
		return nil
	}
	path := "/api/v1/namespaces/" + s.Metadata.Namespace + "/services/" + s.Metadata.Name + "/status"
	patch := map[string]any{"status": map[string]any{"loadBalancer": map[string]any{
		"ingress": []any{map[string]any{"ip": ip}},
	}}}
	err = client.Merge(ctx, path, patch)
	var refused *kube.StatusError
	if errors.As(err, &refused) && refused.Code == 404 {
		return nil // deleted meanwhile
	}
	return err
}
