package check

import "fmt"

// Rollout is a load that was held while the workload restarted.
type Rollout struct {
	Workload string `json:"workload"` // "Deployment/server"
	Calls    int    `json:"calls"`
	Lost     int    `json:"lost"`
	MaxLost  int    `json:"maxLost"`
	// Unfinished, if not empty, is why no whole rollout was seen.
	Unfinished string `json:"unfinished,omitempty"`
}

// rollout judges the calls that were lost. It holds beside whatever else does.
func (d *digest) rollout() []Finding {
	r := d.Rollout
	if r == nil {
		return nil
	}
	var findings []Finding
	if r.Lost > r.MaxLost {
		findings = append(findings, found(codeLost, r.Workload, fmt.Sprintf("%d of %d calls were lost while it restarted, %d may be", r.Lost, r.Calls, r.MaxLost),
			"let the pods finish what they have begun: a preStop hook that waits some seconds, a server that stops gracefully, and maxUnavailable 0"))
	}
	if r.Unfinished != "" {
		findings = append(findings, found(codeNoRollout, r.Workload, "no whole rollout was seen under load: "+r.Unfinished, d.verify("--during-rollout --timeout 5m")))
	}
	return findings
}
