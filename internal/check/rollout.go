package check

import "fmt"

// Rollout is a load that was held while the workload restarted.
type Rollout struct {
	Workload string `json:"workload"` // "Deployment/server"
	Calls    int    `json:"calls"`    // that began during the rollout, or after
	Lost     int    `json:"lost"`     // of them
	MaxLost  int    `json:"maxLost"`
	// CallsBefore are those that began before it, LostBefore of them failed.
	CallsBefore int `json:"callsBefore,omitempty"`
	LostBefore  int `json:"lostBefore,omitempty"`
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
		findings = append(findings, found(codeLost, r.Workload, fmt.Sprintf("%d of %d calls were lost while it restarted and after, %d may be", r.Lost, r.Calls, r.MaxLost),
			"let the pods finish what they have begun: a preStop hook that waits some seconds, a server that stops gracefully, and maxUnavailable 0"))
	}
	if r.LostBefore > 0 {
		findings = append(findings, found(codeLoadErrors, r.Workload, fmt.Sprintf("%d of %d calls of the load failed already before it began to restart: they are no losses of the rollout", r.LostBefore, r.CallsBefore),
			"see which statuses the load met, in the report, and mend that first: a check without --during-rollout tells more"))
	}
	if r.Unfinished != "" {
		findings = append(findings, found(codeNoRollout, r.Workload, "no whole rollout was seen under load: "+r.Unfinished, d.verify("--during-rollout --timeout 5m")))
	}
	return findings
}
