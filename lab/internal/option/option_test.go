package option

import (
	"io"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	cases := []struct {
		name        string
		arguments   []string
		environment map[string]string
		want        Options
		refusal     string // part of the error; empty: none
	}{
		{"nothing asked", nil, nil, Options{GatewayReplicas: 1}, ""},
		{"flags", []string{"--gateway-replicas", "3", "--second-gateway", "--revision=1-31-0"}, nil,
			Options{GatewayReplicas: 3, SecondGateway: true, Revision: "1-31-0"}, ""},
		{"environment", nil, map[string]string{"LAB_GATEWAY_REPLICAS": "2", "LAB_REVISION": "canary", "LAB_ONLY_REVISION": "true"},
			Options{GatewayReplicas: 2, Revision: "canary", OnlyRevision: true}, ""},
		{"a flag beats the environment", []string{"--second-gateway=false"}, map[string]string{"LAB_SECOND_GATEWAY": "1"},
			Options{GatewayReplicas: 1}, ""},
		{"no number", nil, map[string]string{"LAB_GATEWAY_REPLICAS": "many"}, Options{}, "LAB_GATEWAY_REPLICAS"},
		{"no truth", nil, map[string]string{"LAB_SECOND_GATEWAY": "perhaps"}, Options{}, "LAB_SECOND_GATEWAY"},
		{"too many", []string{"--gateway-replicas", "11"}, nil, Options{}, "1 to 10"},
		{"a name that no label takes", []string{"--revision", "1.31"}, nil, Options{}, "such as 1-31-0"},
		{"a name that ends in a dash", []string{"--revision", "x-"}, nil, Options{}, "--revision"},
		{"the default's own name", []string{"--revision", "default"}, nil, Options{}, "has anyway"},
		{"only what", []string{"--only-revision"}, nil, Options{}, "--revision NAME"},
		{"a word", []string{"please"}, nil, Options{}, `"please"`},
		{"an unknown flag", []string{"--nodes", "3"}, nil, Options{}, "nodes"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := Parse(c.arguments, func(name string) string { return c.environment[name] }, io.Discard)
			if c.refusal != "" {
				if err == nil || !strings.Contains(err.Error(), c.refusal) {
					t.Fatalf("error %v, want one with %q", err, c.refusal)
				}
				return
			}
			if err != nil || got != c.want {
				t.Fatalf("got %+v, %v; want %+v", got, err, c.want)
			}
			again, err := Parse(strings.Fields(got.String()), func(string) string { return "" }, io.Discard)
			if err != nil || again != got {
				t.Errorf("%q asks for %+v, %v; want %+v", got.String(), again, err, got)
			}
		})
	}
}

func TestReaches(t *testing.T) {
	plain := Options{GatewayReplicas: 1}
	two := Options{GatewayReplicas: 1, SecondGateway: true}
	revised := Options{GatewayReplicas: 1, Revision: "a"}
	only := Options{GatewayReplicas: 1, Revision: "a", OnlyRevision: true}
	cases := []struct {
		name     string
		from, to Options
		want     bool
	}{
		{"the same", plain, plain, true},
		{"more pods", plain, Options{GatewayReplicas: 5}, true},
		{"fewer pods", Options{GatewayReplicas: 5}, plain, true},
		{"a gateway more", plain, two, true},
		{"a gateway less", two, plain, false},
		{"a revision more", two, Options{GatewayReplicas: 1, SecondGateway: true, Revision: "a"}, true},
		{"a revision less", revised, plain, false},
		{"another revision", revised, Options{GatewayReplicas: 1, Revision: "b"}, false},
		{"the default away", revised, only, false},
		{"the default back", only, revised, false},
	}
	for _, c := range cases {
		if got := c.from.Reaches(c.to); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
