package cmd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"grpcmesh/internal/check"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/message"
	"grpcmesh/internal/probe"
)

// mostExpected bounds --expect: more names than this are not told apart.
const mostExpected = 4096

// backendFlags say where the app itself tells which backend answered, the
// ladder's last rung.
type backendFlags struct {
	from   string // header:NAME, trailer:NAME or field:PATH
	expect int

	source *probe.Source // once known
	field  string        // PATH, until the reply's type is known
}

func (b *backendFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&b.from, "backend-from", "", "Where the app itself says which backend answered, for --identify=app: `header:NAME` or trailer:NAME of an answer to --call or --path, or field:PATH of the reply to --call (in a.b.0.c the 0 is an index, or a map's key).")
	fs.IntVar(&b.expect, "expect", 0, "How many pods there should be, with equal shares, for --backend-from where no cluster tells: none is asked then.")
}

func (b *backendFlags) on() bool { return b.from != "" }

// words is where, as the report has it.
func (b *backendFlags) words() string {
	kind, name, _ := strings.Cut(b.from, ":")
	if kind == "field" {
		return "field " + name + " of the reply"
	}
	return kind + " " + strings.ToLower(name)
}

func (b *backendFlags) validate(o *verifyOptions) error {
	switch {
	case !b.on() && o.identify == check.RungApp:
		return usageError{errors.New("--identify=app needs --backend-from: where the app says which backend it is")}
	case !b.on() && b.expect != 0:
		return usageError{errors.New("--expect is for --backend-from: otherwise the cluster tells how many pods there are")}
	case !b.on():
		return nil
	case b.expect < 0 || b.expect > mostExpected:
		return &manifest.InvalidError{Field: "--expect", Value: strconv.Itoa(b.expect), Reason: fmt.Sprintf("must be from 1 to %d", mostExpected)}
	case b.expect > 0 && o.identify != "auto" && o.identify != check.RungApp:
		return usageError{fmt.Errorf("--expect and --identify=%s don't go together: no cluster is asked with --expect", o.identify)}
	case b.expect > 0 && o.service+o.virtualService+o.namespace != "":
		return usageError{errors.New("--expect is for where no cluster is asked: leave out --namespace, --service and --virtual-service")}
	}
	invalid := func(reason string) error {
		return &manifest.InvalidError{Field: "--backend-from", Value: b.from, Reason: reason}
	}
	kind, name, _ := strings.Cut(b.from, ":")
	switch key := strings.ToLower(name); {
	case kind != "header" && kind != "trailer" && kind != "field", name == "":
		return invalid("is none of header:NAME, trailer:NAME and field:PATH")
	case kind == "field" && !o.user.on():
		return invalid("is a field of the reply to --call PKG.SERVICE/METHOD, which is missing")
	case kind == "field":
		b.field = name
	case !metadataKey.MatchString(key):
		return invalid("names no metadata: those names have letters, digits, and any of _ . -")
	case !o.user.on() && o.path == "":
		return usageError{errors.New("--backend-from needs a call that the app answers: --call PKG.SERVICE/METHOD, or --path, which is called with a message that no app can read")}
	case kind == "header":
		b.source = &probe.Source{Header: key}
	default:
		b.source = &probe.Source{Trailer: key}
	}
	return nil
}

// bind finds the field in the method's replies. A path that leads nowhere is the
// user's mistake.
func (b *backendFlags) bind(m *message.Method) error {
	if b.field == "" {
		return nil
	}
	f, err := m.Reply(b.field)
	if err != nil {
		return &manifest.InvalidError{Field: "--backend-from", Value: b.from, Reason: err.Error()}
	}
	b.source = &probe.Source{Reply: f.Read}
	return nil
}

// unasked says, where the cluster was in the way of a run that needs none, how to
// do without it.
func (o *verifyOptions) unasked(err error) error {
	if errors.As(err, new(*probe.DialError)) {
		return err
	}
	if !o.backend.on() {
		return unreached(err)
	}
	switch ExitCode(err) {
	case exitUsage, exitDenied, exitError:
		return fmt.Errorf("%w\nWith --expect N, which says how many pods there should be, no cluster is asked", err)
	}
	return err
}

// asApp takes the rung app where no better one can be had: where not even the
// sidecars' counters may be read.
func (r *run) asApp(ctx context.Context, rung, why string) (string, string, error) {
	if rung != check.RungSidecars || r.o.identify != "auto" || !r.o.backend.on() {
		return rung, why, nil
	}
	var needed []k8s.Permission
	for _, d := range r.t.destinations {
		needed = append(needed, k8s.Permission{Verb: "create", Resource: "pods/portforward", Namespace: d.Namespace})
	}
	missing, err := r.t.cluster.Missing(ctx, needed)
	if err != nil || len(missing) == 0 {
		return rung, why, err
	}
	return check.RungApp, why + ", and this user may not " + missing[0].String(), nil
}

// byApp is the ladder's last rung: users' calls, in whose answers the app says
// which backend gave them.
func (r *run) byApp(ctx context.Context, e *check.Evidence) error {
	if !r.t.layer4 { // there every call takes the same way
		_, e.WitnessWhy = r.witnessCalls(ctx, r.reflectAtPod)
	}
	e.Misread, e.Missing = r.t.misread, r.t.missing
	return r.named(ctx, e)
}

// named makes users' calls until enough of them named a backend. Where no cluster
// tells them and only one did, some more connections show whether each is led to
// one of several.
func (r *run) named(ctx context.Context, e *check.Evidence) error {
	e.BackendFrom, e.Real, e.Unreadable = r.o.backend.words(), r.o.user.on(), !r.o.user.on()
	call := r.o.pathCall()
	call.From = r.o.backend.source
	for {
		one := *e
		one.Samples = nil // of this connection
		one.Limit = max(e.Limit-len(e.Samples), 0)
		if e.Expect > 0 && len(e.Samples) > 0 && (one.Limit == 0 || one.Limit > fewCalls) {
			one.Limit = fewCalls // whether there is another name: the first connection has shown that it sticks
		}
		for !check.Enough(one) {
			s, err := r.call(ctx, call)
			if err != nil {
				break // the samples so far are judged
			}
			one.Samples = append(one.Samples, s)
			r.line.named(s.Said)
			if s.NoAnswer && r.broken() >= mostConnections {
				break
			}
		}
		e.Samples = append(e.Samples, one.Samples...)
		if !e.NoCluster || e.Expect == 1 || !check.OneName(one) || e.Expect > 1 && !check.OneName(*e) || r.dials >= mostConnections || e.Limit > 0 && len(e.Samples) >= e.Limit || ctx.Err() != nil || r.dial(ctx) != nil {
			break
		}
	}
	r.line.done()
	e.TimedOut = r.o.ranOut(ctx)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil // what was seen until then is judged
	}
	return ctx.Err()
}
