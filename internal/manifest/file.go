package manifest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// What an Intent's document says it is.
const (
	FileAPIVersion = "grpcmesh.dev/v1alpha1"
	FileKind       = "Exposure"
)

// maxFile bounds what is read of a file, in bytes: 100,000 exposures take less.
const maxFile = 64 << 20

// document is one Intent in a file; docs/exposure.schema.json describes it.
type document struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string `json:"name,omitempty"` // for the reader's sake
		Namespace string `json:"namespace,omitempty"`
	} `json:"metadata,omitempty"`
	Spec struct {
		Workload        string            `json:"workload"`
		Port            *int              `json:"port,omitempty"`
		TargetPort      int               `json:"targetPort,omitempty"`
		Host            *string           `json:"host,omitempty"`
		MatchService    string            `json:"matchService,omitempty"`
		Gateway         *string           `json:"gateway,omitempty"`
		GatewayPort     int               `json:"gatewayPort,omitempty"`
		GatewaySelector map[string]string `json:"gatewaySelector,omitempty"`
		Inject          *string           `json:"inject,omitempty"`
		Revision        string            `json:"revision,omitempty"`
		TLS             *tlsFields        `json:"tls,omitempty"`
		PodLabels       map[string]string `json:"podLabels,omitempty"`
		TimeoutPerCall  string            `json:"timeoutPerCall,omitempty"`
		Retries         *int              `json:"retries,omitempty"`
		PerTryTimeout   string            `json:"perTryTimeout,omitempty"`
		MatchHeaders    map[string]string `json:"matchHeaders,omitempty"`
		LB              string            `json:"lb,omitempty"`
		Canary          map[string]int    `json:"canary,omitempty"`
	} `json:"spec"`
}

// tlsFields are how the gateway's port is to be secured.
type tlsFields struct {
	Secret string `json:"secret"`
	Mode   string `json:"mode,omitempty"`
}

// FileError says where in a file an Intent can't be read. errors.As finds the
// *InvalidError in it, if there is one.
type FileError struct {
	File     string
	Document int // from 1; 0: the file as a whole
	Err      error
}

// Error names the file, the document and the reason.
func (e *FileError) Error() string {
	if e.Document == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Err)
	}
	return fmt.Sprintf("%s, document %d: %s", e.File, e.Document, e.Err)
}

// Unwrap gives the reason.
func (e *FileError) Unwrap() error { return e.Err }

// Read reads the Intents of a file: YAML or JSON, one document each. A field
// that it does not know, a field given twice, a workload exposed twice and
// whatever Validate refuses are a *FileError. A document without a namespace is
// of the one given. file is the name for messages.
func Read(r io.Reader, file, namespace string) ([]Intent, error) {
	whole := func(err error) error { return &FileError{file, 0, err} }
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, whole(err)
	}
	if len(b) > maxFile {
		return nil, whole(fmt.Errorf("it is longer than %d MiB", maxFile>>20))
	}
	var all []Intent
	seen := exposed{}
	docs := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(b)))
	for n := 1; ; n++ {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, &FileError{file, n, err}
		}
		if empty(doc) {
			continue
		}
		intent, err := readOne(doc, namespace)
		if err == nil {
			err = seen.add(intent)
		}
		if err != nil {
			return nil, &FileError{file, n, err}
		}
		all = append(all, intent)
	}
	if len(all) == 0 {
		return nil, whole(errors.New("it has no document"))
	}
	return all, nil
}

// Distinct says whether each Intent is for another workload; an *InvalidError
// names the first that comes again.
func Distinct(all []Intent) error {
	seen := exposed{}
	for _, i := range all {
		if err := seen.add(i); err != nil {
			return err
		}
	}
	return nil
}

// exposed are the kinds of the workloads by namespace and name; the kind "" may
// be any.
type exposed map[[2]string][]string

func (e exposed) add(i Intent) error {
	kind, name, err := ParseWorkload(i.Workload)
	if err != nil {
		return err
	}
	key := [2]string{i.Namespace, name}
	if kinds := e[key]; len(kinds) > 0 && (kind == "" || slices.Contains(kinds, kind) || slices.Contains(kinds, "")) {
		return &InvalidError{"spec.workload", i.Workload, "is exposed by an earlier document already"}
	}
	e[key] = append(e[key], kind)
	return nil
}

// empty says whether a document is nothing but blanks and comments.
func empty(doc []byte) bool {
	var v any
	return yaml.Unmarshal(doc, &v) == nil && v == nil
}

func readOne(b []byte, namespace string) (Intent, error) {
	var d document
	// By way of JSON: YAML read straight into strings makes "false" of a bare n.
	b, err := yaml.YAMLToJSONStrict(b)
	if err != nil {
		return Intent{}, err
	}
	strict, err := json.UnmarshalStrict(b, &d)
	if err = errors.Join(append(strict, err)...); err != nil {
		return Intent{}, err
	}
	if d.APIVersion != FileAPIVersion {
		return Intent{}, &InvalidError{"apiVersion", d.APIVersion, "is not " + FileAPIVersion}
	}
	if d.Kind != FileKind {
		return Intent{}, &InvalidError{"kind", d.Kind, "is not " + FileKind}
	}
	s := d.Spec
	if s.Workload == "" {
		return Intent{}, &InvalidError{"spec.workload", "", "is missing"}
	}
	i := Intent{Namespace: d.Metadata.Namespace, Workload: s.Workload, Port: DefaultPort, TargetPort: s.TargetPort, Host: "*",
		MatchService: s.MatchService, GatewayPort: s.GatewayPort, GatewaySelector: s.GatewaySelector, Revision: s.Revision, PodLabels: s.PodLabels}
	if i.Namespace == "" {
		i.Namespace = namespace
	}
	if s.Port != nil {
		i.Port = *s.Port
	}
	if s.Host != nil {
		i.Host = *s.Host
	}
	if s.TLS != nil {
		if s.TLS.Secret == "" {
			return Intent{}, &InvalidError{"spec.tls.secret", "", "is missing"}
		}
		i.TLSSecret, i.TLSMode = s.TLS.Secret, s.TLS.Mode
	}
	if s.Gateway != nil {
		if i.Gateway = *s.Gateway; i.Gateway == "" {
			return i, &InvalidError{"spec.gateway", "", "is no NAME and no NAMESPACE/NAME"}
		}
	}
	if s.Inject != nil {
		if i.Inject = *s.Inject; i.Inject == "" {
			return i, &InvalidError{"spec.inject", "", "is none of namespace, pod and none"}
		}
	}
	if i.Route, err = d.route(); err != nil {
		return Intent{}, err
	}
	err = i.Validate()
	var invalid *InvalidError
	if errors.As(err, &invalid) {
		if field, ok := fields()[invalid.Field]; ok {
			err = &InvalidError{field, invalid.Value, invalid.Reason}
		}
	}
	return i, err
}

// FieldOf is the name in a file of what a flag calls so.
func FieldOf(flag string) string { return fields()[flag] }

// fields are the names in a file of what flags call otherwise.
func fields() map[string]string {
	return map[string]string{ //nolint:gosec // names of flags, and no secrets
		"WORKLOAD": "spec.workload", "--namespace": "metadata.namespace", "--port": "spec.port", "--target-port": "spec.targetPort",
		"--host": "spec.host", "--match-service": "spec.matchService", "--gateway": "spec.gateway", "--gateway-port": "spec.gatewayPort",
		"--gateway-selector": "spec.gatewaySelector", "--inject": "spec.inject", "--revision": "spec.revision",
		"--pod-labels": "spec.podLabels", "--timeout-per-call": "spec.timeoutPerCall", "--retries": "spec.retries",
		"--per-try-timeout": "spec.perTryTimeout", "--match-header": "spec.matchHeaders",
		"--lb": "spec.lb", "--canary": "spec.canary",
		"--tls-secret": "spec.tls.secret", "--tls-mode": "spec.tls.mode",
	}
}
