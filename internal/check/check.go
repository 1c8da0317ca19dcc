// Package check turns evidence into Findings and a Verdict. It is pure: it
// never dials and never calls an API server, so that saved evidence can be
// judged again.
package check

import (
	"slices"

	"grpcmesh/internal/probe"
)

// Severity is how much a Finding matters.
type Severity string

// Severities. An error fails the verdict, a warning may leave it open.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Info    Severity = "info"
)

// Finding is one thing found, with what to do about it. Message may quote
// text of servers (as Go strings, clipped): escape it before it is shown.
type Finding struct {
	Code     string   `json:"code"` // of Codes
	Severity Severity `json:"severity"`
	Subject  string   `json:"subject"`
	Message  string   `json:"message"`
	Hint     string   `json:"hint"` // one next command or step
}

// Verdict is the answer to "is it balanced request by request".
type Verdict string

// Verdicts.
const (
	Pass         Verdict = "pass"
	Fail         Verdict = "fail"
	Inconclusive Verdict = "inconclusive"
)

// Rungs of the ladder of identification that are judged here.
const (
	// RungRoute: the gateway stamps each answer with the pod it came from.
	RungRoute = "route"
	// RungAdmin: the gateway's replicas count, before and after the run, what
	// they sent to each pod.
	RungAdmin = "admin"
	// RungSidecars: each pod's sidecar counts, before and after the run.
	RungSidecars = "sidecars"
	// RungApp: the app says of each answer which backend gave it.
	RungApp = "app"
)

// Endpoint is one pod that is expected to answer.
type Endpoint struct {
	Address   string  `json:"address"`             // ip:port; where no cluster tells it, the app's name for it
	Namespace string  `json:"namespace,omitempty"` // of the pod
	Pod       string  `json:"pod,omitempty"`
	Node      string  `json:"node,omitempty"`
	Zone      string  `json:"zone,omitempty"`
	Share     float64 `json:"share"` // expected share of calls, 0 to 1
	// Least and Most bound the share that the endpoint can have with nothing
	// being wrong, where the load balancer minds how busy each is; 0 is Share.
	Least float64 `json:"least,omitempty"`
	Most  float64 `json:"most,omitempty"`
}

// Name is the pod's name, else the address; with its namespace where the
// endpoints are of several.
func (e Endpoint) Name(among []Endpoint) string {
	if e.Pod == "" {
		return e.Address
	}
	if slices.ContainsFunc(among, func(o Endpoint) bool { return o.Pod != "" && o.Namespace != e.Namespace }) {
		return e.Namespace + "/" + e.Pod
	}
	return e.Pod
}

// Where names what is under test, for hints. Empty fields become placeholders.
type Where struct {
	Address        string `json:"address,omitempty"`
	Namespace      string `json:"namespace,omitempty"`
	Service        string `json:"service,omitempty"`
	VirtualService string `json:"virtualService,omitempty"`
}

// Evidence is all that one run found out.
type Evidence struct {
	Rung string `json:"rung"`
	// Expected were Ready during the whole run; their shares sum to 1.
	Expected []Endpoint `json:"expected"`
	// Standby are endpoints that get calls only when others fail: the mesh
	// prefers those near the gateway.
	Standby []Endpoint `json:"standby,omitempty"`
	// Changed are endpoints that came or went meanwhile, in words that hold
	// the ip:port, which then explains answers from there.
	Changed []string `json:"changed,omitempty"`
	// Layer4: the address is a Service's own, no gateway is in the way.
	Layer4 bool `json:"layer4,omitempty"`
	// Samples are the identification calls in order, one in flight at a time.
	Samples []probe.Sample `json:"samples"`
	// Counts are calls by endpoint address (rungs admin and sidecars: after - before).
	// An endpoint that is missing here could not be counted.
	Counts map[string]int `json:"counts,omitempty"`
	// Uncounted says of such, by address, why.
	Uncounted map[string]string `json:"uncounted,omitempty"`
	// Foreign are calls that others made meanwhile, Own the run's own.
	Foreign int `json:"foreign,omitempty"`
	Own     int `json:"own,omitempty"`
	// ConnectionsUsed are the dials made for the run (rungs admin and sidecars).
	ConnectionsUsed int `json:"connectionsUsed,omitempty"`
	// Witness are calls without the nonce, on paths the route should match.
	Witness []probe.Sample `json:"witness,omitempty"`
	// WitnessWhy says why there is no witness; on the rung sidecars, why the
	// calls may not have gone where real ones go.
	WitnessWhy string `json:"witnessWhy,omitempty"`
	// BackendFrom is where the app says who answers, in words (rung app).
	BackendFrom string `json:"backendFrom,omitempty"`
	// NoCluster: nothing tells the endpoints (rung app). Expected is empty then, and
	// Expect how many there should be, with equal shares; 0: that isn't known.
	NoCluster bool `json:"noCluster,omitempty"`
	Expect    int  `json:"expect,omitempty"`
	// Unasked, if not empty, is why no cluster could be asked which endpoints
	// there are, where nothing else tells pods apart either.
	Unasked string `json:"unasked,omitempty"`
	// Streams: the calls are streams, each of which is led to a pod as it opens.
	Streams bool `json:"streams,omitempty"`
	// Unreadable: users' methods were called with a message that can't be
	// read, so that an app which says so (INTERNAL, UNKNOWN) is right.
	Unreadable bool `json:"unreadable,omitempty"`
	// Real: users' methods were called with a message that the user gave, so
	// that any status but OK is an error of the app's.
	Real bool `json:"real,omitempty"`
	// Misread is a port of the route's Services that Istio does not take for
	// HTTP/2, if there is one.
	Misread Port `json:"misread,omitzero"`
	// ByDesign, if not empty, is why calls are meant to stick.
	ByDesign string `json:"byDesign,omitempty"`
	// Prefers, if not empty, is why some endpoints may rightly get more than
	// their share, or others nothing.
	Prefers string `json:"prefers,omitempty"`
	// Ejects, if not empty, is why the run's own calls may have put pods out.
	Ejects string `json:"ejects,omitempty"`
	// Undefined are subsets that the route leads to and nothing defines.
	Undefined []string `json:"undefined,omitempty"`
	// Nowhere are the destinations, but for those, that are to get calls and
	// had no ready endpoint during the whole run, in words with their share.
	Nowhere []string `json:"nowhere,omitempty"`
	// Missing are Services, or ports of them, that the route leads to and that
	// are not there.
	Missing []string `json:"missing,omitempty"`
	// Disagree, if not empty, is why gateway and pods can't speak to each other:
	// the one uses TLS, and the others don't take it, or the other way round.
	Disagree string `json:"disagree,omitempty"`
	// Control is what the same calls did at the Service itself; nil: not made.
	Control *Control `json:"control,omitempty"`
	// Load are the calls of a load that was made once the check was done; nil:
	// none was.
	Load *Load `json:"load,omitempty"`
	// NoLoad, if not empty, is why a load that was asked for was not made.
	NoLoad string `json:"noLoad,omitempty"`
	// TimedOut, if not empty, is the run's --timeout, which ran out before all
	// calls were made; the call that it cut off is none of the samples.
	TimedOut string `json:"timedOut,omitempty"`
	// WitnessOf is how many calls Witness would have had then; 0: it has all.
	WitnessOf int `json:"witnessOf,omitempty"`
	// Rollout is of a load that was held over one; nil: none was.
	Rollout *Rollout `json:"rollout,omitempty"`
	// Alpha is the false-alarm rate of the whole verdict, in (0,1). It is
	// split evenly over the tests made: coverage, stuck, dominance.
	Alpha float64 `json:"alpha"`
	// Limit is the most calls the user allows; 0 is no limit.
	Limit int   `json:"limit,omitempty"`
	Where Where `json:"where,omitzero"`
	// Command are the words of the command that makes just this check, for a
	// shell: what is to be run next begins with it.
	Command []string `json:"command,omitempty"`
	// Connection are the flags by which the cluster was reached, for a shell:
	// kubectl has the same.
	Connection []string `json:"connection,omitempty"`
	// Workload is what runs the pods, as KIND/NAME, if that is known.
	Workload string `json:"workload,omitempty"`
	// TLS is how the first connection was secured; nil: it was plaintext.
	TLS *TLS `json:"tls,omitempty"`
}

// Count is how often one endpoint answered, and that as a share of all
// identified answers.
type Count struct {
	Endpoint Endpoint `json:"endpoint"`
	Calls    int      `json:"calls"`
	Share    float64  `json:"share"`
}

// Control is calls on one connection to the Service's own address, where layer
// 4 picks a pod once for all of them.
type Control struct {
	Service string  `json:"service"` // namespace/name
	Address string  `json:"address,omitempty"`
	Calls   int     `json:"calls"`
	Landed  []Count `json:"landed,omitempty"` // by the pods' sidecars, most calls first
	Why     string  `json:"why,omitempty"`    // it could not be made, or tells nothing
}

// Proof is the one connection on which several pods answered.
type Proof struct {
	Connection string   `json:"connection,omitempty"` // the gateway's number of it
	Gateway    string   `json:"gateway,omitempty"`
	Calls      int      `json:"calls"`
	Pods       []string `json:"pods,omitempty"`
}

// Coverage is how many of the expected endpoints answered. Needed is the
// number of calls after which a silent one is a failure; at alpha split over
// the tests made. It stays 0 where nothing is expected, and Of also where no
// pod could be counted. Skew is the odds ratio against its share from which on
// a pod's lead would have shown in these calls; at 0 they are too few to show
// any, as they often are where a run ends once every pod was seen.
type Coverage struct {
	Seen   int     `json:"seen"`
	Of     int     `json:"of"`
	Calls  int     `json:"calls"`
	Needed int     `json:"needed"`
	Skew   float64 `json:"skew"`
	Alpha  float64 `json:"alpha"` // of the whole verdict
}

// Result is the judgement.
type Result struct {
	Verdict      Verdict   `json:"verdict"`
	Findings     []Finding `json:"findings"` // culprit first
	Proof        Proof     `json:"proof"`
	Coverage     Coverage  `json:"coverage"`
	PerEndpoint  []Count   `json:"perEndpoint"`
	Unidentified int       `json:"unidentified"`
	Control      *Control  `json:"control,omitempty"`
}
