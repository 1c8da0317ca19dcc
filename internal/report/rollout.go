package report

import (
	"fmt"
	"strings"

	"grpcmesh/internal/check"
)

// LoadRollout is what a load says of a rollout that it was held over.
type LoadRollout struct {
	Workload   string      `json:"workload"`  // "Deployment/server"
	Restarted  bool        `json:"restarted"` // by this run
	MaxLost    int         `json:"maxLost"`
	Phases     []LoadPhase `json:"phases"` // before, during, after; as far as it came
	NewPods    []NewPod    `json:"newPods"`
	Unfinished string      `json:"unfinished,omitempty"` // why no whole rollout was seen
}

// LoadPhase is the calls that began in one of the phases.
type LoadPhase struct {
	Phase   string  `json:"phase"`
	Seconds float64 `json:"seconds"`
	Calls   int     `json:"calls"`
	Lost    int     `json:"lost"`
}

// NewPod is a pod that came with the rollout.
type NewPod struct {
	Endpoint check.Endpoint `json:"endpoint"`
	Seconds  float64        `json:"seconds"` // from the rollout's beginning to its first answer
}

func (r *LoadRollout) lines() []string {
	if r == nil {
		return nil
	}
	var phases, pods []string
	for _, p := range r.Phases {
		phases = append(phases, fmt.Sprintf("%s %d of %s in %.3g s", p.Phase, p.Lost, count(p.Calls, "call"), p.Seconds))
	}
	lines := []string{fmt.Sprintf("rollout: of %s, calls lost: %s", r.Workload, strings.Join(phases, ", "))}
	all := make([]check.Endpoint, 0, len(r.NewPods))
	for _, p := range r.NewPods {
		all = append(all, p.Endpoint)
	}
	for _, p := range r.NewPods {
		pods = append(pods, fmt.Sprintf("%s after %.3g s", p.Endpoint.Name(all), p.Seconds))
	}
	if len(pods) > 0 {
		lines = append(lines, "new pods: first answers of "+strings.Join(pods, ", "))
	}
	return lines
}
