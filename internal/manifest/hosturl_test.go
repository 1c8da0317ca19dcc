package manifest

import "testing"

// TestHostURL: a URL is told from a host with a port.
func TestHostURL(t *testing.T) {
	for host, want := range map[string]string{
		"http://x.example.com":           `--host "http://x.example.com": it is a URL; a host is just its name, such as x.example.com`,
		"https://x.example.com:443/path": `--host "https://x.example.com:443/path": it is a URL; a host is just its name, such as x.example.com`,
		"x.example.com:80":               `--host "x.example.com:80": a host carries no port here; --gateway-port sets it`,
	} {
		if err := validHost(host); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
