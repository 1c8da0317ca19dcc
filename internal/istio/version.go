package istio

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/k8s"
)

// Version is a minor release of Istio.
type Version struct{ Major, Minor int }

// String is "1.31".
func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// Before says whether it is older.
func (v Version) Before(o Version) bool {
	return v.Major < o.Major || v.Major == o.Major && v.Minor < o.Minor
}

// Oldest is the first release whose v1alpha3 has all the fields that expose
// writes, and the oldest that meshes in use have (Tencent's).
func Oldest() Version { return Version{1, 8} }

// Stamping is the first release whose gateway can be asked by a probe route. It is
// Envoy 1.24's ("all access log formatters can be used as custom request/response
// headers", its release notes of October 2022): an older one throws "not supported
// as custom header" at the commands that the route needs, and with it rejects
// whatever routes come with and after it.
func Stamping() Version { return Version{1, 16} }

var (
	imageTag = regexp.MustCompile(`:v?(\d{1,2})\.(\d{1,3})([.-]|$)`) // of "registry:5000/istio/proxyv2:1.31.0"
	revision = regexp.MustCompile(`^(?:[a-z]+-)?(\d{1,2})-(\d{1,3})(-|$)`)
)

// Version is the oldest release that a ready pod's proxy is of: as the tag of its
// image says, or else the name of its revision (1-8-1, asm-1-18). ok is false where
// neither does. The label app.kubernetes.io/version is the chart's, which not every
// installer sets. Nothing is read for it.
func (i Ingress) Version() (v Version, ok bool) {
	for n := range i.Pods {
		if of, known := proxyVersion(&i.Pods[n]); known && (!ok || of.Before(v)) {
			v, ok = of, true
		}
	}
	return v, ok
}

func proxyVersion(pod *corev1.Pod) (Version, bool) {
	if at := slices.IndexFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == "istio-proxy" }); at >= 0 {
		image, _, _ := strings.Cut(pod.Spec.Containers[at].Image, "@")
		if v, ok := versionIn(imageTag, image[strings.LastIndexByte(image, '/')+1:]); ok {
			return v, true
		}
	}
	return versionIn(revision, pod.Labels[revisionLabel])
}

// versionIn reads a release of Istio's first major.
func versionIn(form *regexp.Regexp, name string) (Version, bool) {
	m := form.FindStringSubmatch(name)
	if m == nil || m[1] != "1" {
		return Version{}, false
	}
	minor, err := strconv.Atoi(m[2])
	return Version{1, minor}, err == nil
}

// TooOld is the finding that a gateway's proxies are older than what grpcmesh
// needs: an error below Oldest, and below Stamping a warning, as only the proofs
// get weaker. ok is false where they are not, or their release is not known.
func (i Ingress) TooOld() (f finding.Finding, ok bool) {
	v, known := i.Version()
	switch {
	case !known || !v.Before(Stamping()):
		return f, false
	case v.Before(Oldest()):
		f = finding.New(finding.OldMesh, "", "gateway "+i.String(), fmt.Sprintf("its proxies are of Istio %s, and what grpcmesh writes needs %s", v, Oldest()), "Upgrade the mesh, or choose another gateway: --gateway-selector.")
		f.Severity = finding.Error
	default:
		f = finding.New(finding.OldMesh, "", "gateway "+i.String(), fmt.Sprintf("its proxies are of Istio %s, and before %s a gateway refuses the probe route by which it says which pod answered; none is made, so calls are proved by counters alone", v, Stamping()),
			"Upgrade the mesh; until then read the counters: grpcmesh verify --read-only.")
	}
	return f, true
}

// NotTooOld refuses a gateway that is older than Oldest.
func (i Ingress) NotTooOld() error {
	if f, ok := i.TooOld(); ok && f.Severity == finding.Error {
		return &k8s.NotReadyError{Code: f.Code, Subject: f.Object, Cause: f.Reason, Hint: "Nothing was written. " + f.Next}
	}
	return nil
}
