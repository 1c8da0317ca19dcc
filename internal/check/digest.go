package check

import (
	"cmp"
	"slices"
	"strings"

	"grpcmesh/internal/probe"
	"grpcmesh/internal/spread"
)

const (
	// tests is over how many statistical tests alpha is split.
	tests = 3
	// heavy is the odds ratio at which dominance fails (verify.md).
	heavy = 3
	// maxStrangers caps the distinct unknown addresses that are kept.
	maxStrangers = 100
	// calm is how many good calls must follow the last failed one before a
	// failure counts as over.
	calm = 10
)

// line is what must stay the same for calls to count as one connection: one
// dial here, one connection and one gateway there.
type line struct {
	conn                int
	connection, gateway string
}

// digest is the evidence, folded.
type digest struct {
	Evidence

	shares   []float64
	least    []float64 // the shares that endpoints can be left with,
	most     []float64 // and those that they can have, by design
	alpha    float64   // of each test
	index    map[string]int
	said     map[string]int // the same by what an app may call them
	counts   []int          // calls by expected endpoint
	calls    int            // identification calls made
	named    int            // of them: answered by an expected endpoint
	explain  map[string]int
	stranger *spread.Distribution
	unnamed  int // answers that say not where from
	spilled  int // of a pod that gets calls only when others fail
	lost     int // of a pod that came or went, so that its counter was not read

	failed    map[string][]probe.Sample // by code
	failures  int
	atSidecar int // of them, those that a pod's sidecar answered
	good      int // calls that did not fail
	streak    int // of them, those since the last failed one
	refused   int // RBAC answers of a sidecar
	goAway    bool
	quiet     int // calls before any GOAWAY
	dominance *spread.Dominance
	bounds    []float64            // of the shares in a load
	loaded    *spread.Dominance    // over the calls of a load; nil: they are not judged
	lines     map[line]map[int]int // endpoint → calls, without any GOAWAY
	conns     map[int]map[int]int  // the same by our own dials
	mixed     map[int]bool         // dials that were several connections there
	first     map[int]line         // by dial
}

func fold(e Evidence) *digest {
	strangers := maxStrangers
	if e.Rung == RungApp {
		if e.NoCluster {
			e.Expected = e.appointed()
		}
		strangers = max(strangers, mostNames(len(e.Expected))+1)
	}
	d := &digest{
		Evidence: e,
		alpha:    e.Alpha / tests,
		index:    map[string]int{},
		counts:   make([]int, len(e.Expected)),
		explain:  map[string]int{},
		stranger: spread.NewDistribution(strangers),
		failed:   map[string][]probe.Sample{},
		lines:    map[line]map[int]int{},
		conns:    map[int]map[int]int{},
		mixed:    map[int]bool{},
		first:    map[int]line{},
	}
	for i, endpoint := range e.Expected {
		d.index[endpoint.Address] = i
		d.shares = append(d.shares, endpoint.Share)
		d.least = append(d.least, cmp.Or(endpoint.Least, endpoint.Share))
		d.most = append(d.most, cmp.Or(endpoint.Most, endpoint.Share))
	}
	if e.Rung == RungApp {
		d.said = byName(e.Expected)
	}
	// A share below the bound only lowers the ratio: the test stays valid.
	d.dominance = spread.NewDominance(d.most, heavy, d.load())
	d.calls = len(e.Samples)
	for _, s := range e.Samples {
		if s.GoAway {
			d.goAway = true
		} else {
			d.quiet++
		}
		switch {
		case d.counting():
			d.answered(s)
		case d.Rung == RungApp:
			d.hear(s)
		default:
			d.identify(s)
		}
	}
	if d.counting() {
		d.count()
	}
	return d
}

// counting says whether pods are told apart by counters, read before and after.
func (d *digest) counting() bool { return d.Rung == RungAdmin || d.Rung == RungSidecars }

// identify takes one stamped call. Whose answer it is the stamp says: without a
// flag, and with a pod's address, it is that pod's. Whether the service time is
// there too, which cluster of Envoy's it was, and what the app makes of a method
// that it does not have, change nothing about that.
func (d *digest) identify(s probe.Sample) {
	switch {
	case s.NoAnswer:
		d.fail(codeNoAnswer, s)
		return
	case s.NotGRPC:
		d.fail(codeNotGRPC, s)
		return
	case s.Stamped && s.Stamp.Flags != "" && s.Stamp.Flags != "-":
		// Envoy stamps its own answers too: only "-" is the pod's.
		d.fail(d.flagCode(s), s)
		return
	}
	// A refusal tells the pod all the same: users' calls show whether it is
	// theirs too. Any other answer of the pod's sidecar tells of a dead app.
	if code := NotTheApps(s); code != "" && code != codeRBAC {
		d.fail(code, s)
		return
	}
	d.good++
	d.streak++
	if !s.Stamped || s.Stamp.Flags == "" || s.Stamp.Backend == "" {
		d.unnamed++
		return
	}
	if isRefusal(s) {
		d.refused++
	}
	i, expected := d.index[s.Stamp.Backend]
	if !expected {
		d.strange(s.Stamp.Backend, 1)
		return
	}
	d.counts[i]++
	d.named++
	d.dominance.Observe(i)
	l := line{s.Conn, s.Stamp.Connection, s.Stamp.Gateway}
	if before, ok := d.first[s.Conn]; ok && before != l {
		d.mixed[s.Conn] = true
	} else if !ok {
		d.first[s.Conn] = l
	}
	add(d.conns, s.Conn, i)
	if !s.GoAway && l.connection != "" && l.gateway != "" {
		add(d.lines, l, i)
	}
}

// answered takes one call of the sidecars rung: it went the users' own way,
// and says only whether it got through.
func (d *digest) answered(s probe.Sample) {
	// Whether a premature answer was the app's, its sidecar's counter tells.
	if code := d.witnessCode(s); code != "" && !premature(s) {
		if code == codeNoRoute && d.WitnessWhy != "" {
			code = codeNoWitness // it didn't go where real calls go, so that a route may well be missing
		}
		d.fail(code, s)
		return
	}
	d.good++
	d.streak++
}

func (d *digest) fail(code string, s probe.Sample) {
	d.failed[code] = append(d.failed[code], s)
	d.failures++
	d.streak = 0
	if d.beyond(s) {
		d.atSidecar++
	}
}

// strange takes answers of an address that is not expected: explained, if it
// is among those that changed.
func (d *digest) strange(address string, n int) {
	if slices.ContainsFunc(d.Standby, func(e Endpoint) bool { return e.Address == address }) {
		d.explain[address] += n
		d.spilled += n
		return
	}
	for _, words := range d.Changed {
		if mentions(words, address) {
			d.explain[address] += n
			return
		}
	}
	for range n {
		d.stranger.Add(address)
	}
}

// mentions tells whether words hold the address, and not just one that begins
// or ends like it.
func mentions(words, address string) bool { return slices.Contains(split(words), address) }

func split(words string) []string {
	parts := strings.FieldsFunc(words, func(r rune) bool { return strings.ContainsRune(" ,;()'\"", r) })
	for i := range parts {
		parts[i] = strings.TrimRight(parts[i], ".:")
	}
	return parts
}

// seen tells whether endpoint i surely answered a call of this run.
func (d *digest) seen(i int) bool { return d.counts[i] > d.blur() }

// blur is how many calls of any count may be others', or have got no further
// than the sidecar that counted them.
func (d *digest) blur() int {
	if d.counting() {
		return max(d.Foreign, 0) + d.atSidecar
	}
	return 0
}

func (d *digest) missing() (silent, unsure []int) {
	for i, n := range d.counts {
		switch {
		case n == 0:
			silent = append(silent, i)
		case !d.seen(i):
			unsure = append(unsure, i)
		}
	}
	return silent, unsure
}

// needed is after how many calls a silent endpoint is not just a busy one.
func (d *digest) needed() int {
	if d.uncertain() {
		return d.settled()
	}
	return spread.Needed(d.least, d.alpha)
}

func add[K comparable](m map[K]map[int]int, key K, i int) {
	if m[key] == nil {
		m[key] = map[int]int{}
	}
	m[key][i]++
}
