package k8s

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// A dual-stack Service has a slice of each family; only the first family's
// endpoints are called, so the others would look silent.
func TestOfFirstFamily(t *testing.T) {
	t.Parallel()
	svc := func(families ...corev1.IPFamily) *corev1.Service {
		return &corev1.Service{Spec: corev1.ServiceSpec{IPFamilies: families}}
	}
	for name, tc := range map[string]struct {
		svc    *corev1.Service
		family discoveryv1.AddressType
		want   bool
	}{
		"first of two":      {svc(corev1.IPv4Protocol, corev1.IPv6Protocol), discoveryv1.AddressTypeIPv4, true},
		"second of two":     {svc(corev1.IPv4Protocol, corev1.IPv6Protocol), discoveryv1.AddressTypeIPv6, false},
		"IPv6 first":        {svc(corev1.IPv6Protocol, corev1.IPv4Protocol), discoveryv1.AddressTypeIPv6, true},
		"the API says none": {svc(), discoveryv1.AddressTypeIPv4, true},
	} {
		if got := ofFirstFamily(tc.svc, tc.family); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}
