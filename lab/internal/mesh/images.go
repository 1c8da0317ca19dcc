package mesh

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sort"

	"grpcmesh/lab/internal/image"
	"grpcmesh/lab/internal/parts"
)

// ProxyImage is what sidecars and gateways run: pilot-agent and stock Envoy,
// with iptables for the pod's first container.
func ProxyImage(store *parts.Store, istio, envoy string) (string, error) {
	files, links, err := image.Iptables()
	if err != nil {
		return "", err
	}
	files["/usr/local/bin/pilot-agent"] = filepath.Join(istio, "pilot-agent")
	files["/usr/local/bin/envoy"] = filepath.Join(envoy, "envoy")
	files["/var/lib/istio/envoy/envoy_bootstrap_tmpl.json"] = filepath.Join(istio, parts.BootstrapFile)
	inputs := []string{"1", filepath.Base(istio), filepath.Base(envoy)}
	for name, source := range files {
		info, err := os.Stat(source)
		if err != nil {
			return "", fmt.Errorf("the proxy's image: %w", err)
		}
		if filepath.Ext(name) == "" {
			inputs = append(inputs, fmt.Sprint(filepath.Base(name), info.Size(), info.ModTime().UnixNano()))
		}
	}
	sort.Strings(inputs)
	return store.Image("proxyv2", inputs, func(folder string) error {
		if err := image.AddLibraries(files); err != nil {
			return err
		}
		return image.Build(folder, image.Spec{
			Files: files, Links: links, Folders: []string{"/tmp", "/etc/istio/proxy", "/run"},
			Entrypoint: []string{"/usr/local/bin/pilot-agent"},
			Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		}, runtime.GOARCH)
	})
}

// PilotImage is the control plane's.
func PilotImage(store *parts.Store, istio string) (string, error) {
	return ProgramImage(store, "pilot", filepath.Join(istio, "pilot-discovery"), "1337:1337")
}

// ProgramImage is the image of one program out of a part's folder.
func ProgramImage(store *parts.Store, name, program, user string) (string, error) {
	inputs := []string{"1", filepath.Base(filepath.Dir(program)), filepath.Base(program), user}
	return store.Image(name, inputs, func(folder string) error { return BuildProgram(folder, program, user) })
}

// BuildProgram writes the image of one program, with the shared libraries it
// may need, into the empty folder.
func BuildProgram(folder, program, user string) error {
	target := "/usr/local/bin/" + filepath.Base(program)
	files := map[string]string{target: program}
	if err := image.AddLibraries(files); err != nil {
		return err
	}
	return image.Build(folder, image.Spec{
		Files: files, Folders: []string{"/tmp"}, Entrypoint: []string{target}, User: user,
		Env: []string{"PATH=/usr/local/bin"},
	}, runtime.GOARCH)
}
