package pki

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
)

// Kubeconfig returns a kubeconfig, all in one file, for the client whose
// certificate was issued under name. (JSON is YAML, so every reader of
// kubeconfigs takes it.)
func (a *Authority) Kubeconfig(server, name string) ([]byte, error) {
	content := map[string]string{}
	for _, file := range []string{"ca.crt", name + ".crt", name + ".key"} {
		data, err := os.ReadFile(a.Path(file))
		if err != nil {
			return nil, fmt.Errorf("the kubeconfig of %s: %w", name, err)
		}
		content[file] = base64.StdEncoding.EncodeToString(data)
	}
	config := map[string]any{
		"apiVersion":      "v1",
		"kind":            "Config",
		"current-context": "grpcmesh-lab",
		"clusters": []any{map[string]any{"name": "grpcmesh-lab", "cluster": map[string]any{
			"server": server, "certificate-authority-data": content["ca.crt"],
		}}},
		"users": []any{map[string]any{"name": name, "user": map[string]any{
			"client-certificate-data": content[name+".crt"], "client-key-data": content[name+".key"],
		}}},
		"contexts": []any{map[string]any{"name": "grpcmesh-lab", "context": map[string]any{
			"cluster": "grpcmesh-lab", "user": name,
		}}},
	}
	data, err := json.MarshalIndent(config, "", "  ")
	return append(data, '\n'), err
}
