package main

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// request is one line of the API server's audit log, as far as it matters here.
type request struct {
	Stage      string `json:"stage"`
	Verb       string `json:"verb"`
	URI        string `json:"requestURI"`
	UserAgent  string `json:"userAgent"`
	ObjectRef  struct{ Resource, Subresource, Namespace string }
	ReceivedAt time.Time `json:"requestReceivedTimestamp"`
}

// requests are those that a client made since, by its user agent. A watch that
// still runs has no other line than that of its start.
func (b *bench) requests(agent string, since time.Time) ([]request, error) {
	time.Sleep(500 * time.Millisecond) // the log is written behind
	f, err := os.Open(filepath.Clean(b.audit))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Size() > 64<<20 {
		if _, err := f.Seek(-64<<20, 2); err != nil {
			return nil, err
		}
	}
	var all []request
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r request
		if json.Unmarshal(lines.Bytes(), &r) != nil || r.Stage != "ResponseComplete" ||
			!strings.HasPrefix(r.UserAgent, agent) || r.ReceivedAt.Before(since) {
			continue
		}
		all = append(all, r)
	}
	return all, lines.Err()
}

// preflight says whether a request only asks whether the run may and can begin:
// for permissions, and by the dry run of a pod.
func (r request) preflight() bool {
	return r.ObjectRef.Resource == "selfsubjectaccessreviews" || r.ObjectRef.Resource == "pods" && r.Verb == "create"
}
