package k8s

import (
	"maps"
	"slices"

	"k8s.io/client-go/tools/clientcmd"
)

// Names are what a kubeconfig names, sorted.
type Names struct{ Contexts, Clusters, Users []string }

// Names reads the kubeconfig; one that can't be read names nothing.
func (f *Flags) Names() Names {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.kubeconfig
	raw, err := rules.Load()
	if err != nil {
		return Names{}
	}
	return Names{slices.Sorted(maps.Keys(raw.Contexts)), slices.Sorted(maps.Keys(raw.Clusters)), slices.Sorted(maps.Keys(raw.AuthInfos))}
}
