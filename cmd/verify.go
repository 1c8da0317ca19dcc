package cmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"grpcmesh/internal/check"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/report"
)

type verifyOptions struct {
	IO
	flags *k8s.Flags

	addr           string
	host           string
	port           int
	authority      string
	namespace      string // as given; empty: any
	service        string
	virtualService string
	path           string
	identify       string
	readOnly       bool
	metadataGiven  []string
	metadata       map[string]string // of every call, by lower-case names, as on the wire
	requests       int
	alpha          float64
	timeout        time.Duration
	output         string
	reports        []string // FORMAT=FILE
	samples        string   // file to record into
	from           string   // file to judge again
	files          []string // several: what the Exposures in these say,
	all            bool     // or every route of the namespace

	controls string // whether the Service itself is called beside

	among  string // of several, the namespace/name of this one
	absent error  // of several, why there is nothing to call
	lines  *lines // which several share

	user    userCall
	backend backendFlags

	tls  tlsFlags
	load loadFlags

	begun             time.Time
	told              bool // the report was printed, or could not be
	called            called
	given, givenPlain []string // the flags that were given; and without those of TLS
	givenAlike        []string // those that any check of a run has in common
}

// methodPath is a gRPC method's path, as it stands in :path.
var methodPath = regexp.MustCompile(`^/[A-Za-z_][A-Za-z0-9_.]*/[A-Za-z_][A-Za-z0-9_]*$`)

func newVerify(streams IO, flags *k8s.Flags) *cobra.Command {
	o := &verifyOptions{IO: streams, flags: flags}
	c := &cobra.Command{
		Use:   "verify {--addr HOST:PORT | --all | -f FILE}",
		Short: "Prove that requests to a gRPC service are balanced over its pods",
		Long: `Prove that requests, not just connections, to a gRPC service are balanced over its pods.

It dials the address as a client would, makes calls on one connection, and finds out which pod
answered each, without any help from the app and with calls that have no side effects. The
verdict is PASS, FAIL or INCONCLUSIVE; the exit code is 0, 3 or 4.

To tell pods apart it adds one VirtualService for the time of the check, which only its own
calls meet, and removes it again (--identify=route). With --read-only, or where it may not, it
reads the request counters of the gateway's replicas (--identify=admin), or where it may not do
that either those of the pods' sidecars (--identify=sidecars). With --backend-from the app itself
says which pod answered (--identify=app): that needs no cluster, and nothing checks it.`,
		Example: `  # The service behind a gateway's address
  grpcmesh verify --addr 203.0.113.10:8000

  # One host of several behind that address
  grpcmesh verify --addr 203.0.113.10:8000 --authority greeter.example.com

  # A route that takes calls with some metadata only
  grpcmesh verify --addr 203.0.113.10:8000 --metadata x-user=jane

  # With a real call on the users' route, and what the app answers to it
  grpcmesh verify --addr 203.0.113.10:8000 --call helloworld.Greeter/SayHello --data '{"name": "me"}'

  # Without a cluster, where the app says in a header which pod it is, of three
  grpcmesh verify --addr 203.0.113.10:8000 --call helloworld.Greeter/SayHello --backend-from header:x-pod --expect 3

  # By TLS, with a CA of one's own
  grpcmesh verify --addr 203.0.113.10:443 --authority greeter.example.com --tls --ca-file ca.crt

  # Without writing anything to the cluster
  grpcmesh verify --addr 203.0.113.10:8000 --read-only

  # Whatever a namespace exposes, or a file says, with one summary
  grpcmesh verify -n test --all
  grpcmesh verify -f exposures.yaml

  # And how it fares under load: 1,000 calls a second for a minute
  grpcmesh verify --addr 203.0.113.10:8000 --rate 1000 --duration 1m

  # Whether a restart of the workload loses calls
  grpcmesh verify --addr 203.0.113.10:8000 --during-rollout --restart

  # In a pipeline
  grpcmesh verify --addr 203.0.113.10:8000 --report junit=verify.xml --report markdown=verify.md`,
		Args: o.noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if f := c.Flags().Lookup("namespace"); f != nil && f.Changed {
				o.namespace = f.Value.String()
			}
			o.called, o.given, o.givenPlain = calledAs(c), givenFlags(c, "tls"), givenFlags(c, tlsNames()...)
			o.givenAlike = givenFlags(c, "addr", "authority", "namespace", "virtual-service", "all", "filename", "output", "report", "samples")
			o.tls.off = c.Flags().Changed("tls") && !o.tls.use
			o.loadGiven(c)
			if o.from != "" {
				return o.again(c)
			}
			if err := o.oneTarget(c); err != nil {
				return err
			}
			return o.run(c.Context())
		},
	}
	fs := c.Flags()
	fs.StringVar(&o.addr, "addr", "", "Address to dial, as `HOST:PORT`. Needed, but with --all and -f: there it is known, unless said.")
	fs.BoolVar(&o.all, "all", false, "Verify every route of the namespace that a gateway serves.")
	fs.StringArrayVarP(&o.files, "filename", "f", nil, "Verify what the Exposures in a `FILE` expose (docs/exposure.schema.json; '-' is stdin).")
	fs.StringVar(&o.authority, "authority", "", "Host name that calls ask for. Default: the address's host.")
	o.tls.add(fs)
	fs.StringVar(&o.service, "service", "", "Narrow it to the route that leads to this Service.")
	fs.StringVar(&o.virtualService, "virtual-service", "", "Narrow it to this VirtualService.")
	fs.StringVar(&o.path, "path", "", "Method that real calls use, as `/PKG.SERVICE/METHOD`, where the app has no reflection; it is called with a message that no app can read.")
	o.user.add(fs)
	fs.StringArrayVar(&o.metadataGiven, "metadata", nil, "Metadata that every call carries, as `NAME=VALUE`; may be given several times. The value of a NAME that ends in -bin is in base64.")
	fs.StringVar(&o.identify, "identify", "auto", "How pods are told apart: auto, route, admin, sidecars or app.")
	o.backend.add(fs)
	fs.BoolVar(&o.readOnly, "read-only", false, "Write nothing to the cluster; auto then never takes route.")
	fs.StringVar(&o.controls, "control", controlAuto, "Make the same calls to the Service itself too, where layer 4 pins them to one pod: =auto (where it can be reached), =always or =never.")
	fs.Lookup("control").NoOptDefVal = controlAlways
	fs.IntVar(&o.requests, "requests", 0, "Most calls to make for telling pods apart. 0: as many as the statistics need.")
	o.load.add(fs)
	fs.Float64Var(&o.alpha, "alpha", 0.001, "False-alarm rate of the verdict, above 0 and below 1.")
	fs.DurationVar(&o.timeout, "timeout", time.Minute, "How long to take in all, beside the load.")
	fs.StringVarP(&o.output, "output", "o", "text", "Output format: "+listed(outputs("verify"))+".")
	fs.StringArrayVar(&o.reports, "report", nil, "Write the report into a file too, as `FORMAT=FILE`; may be given several times. The formats are those of --output.")
	fs.StringVar(&o.samples, "samples", "", "Record what was found out into this `FILE`, a call a line.")
	fs.StringVar(&o.from, "from", "", "Judge such a `FILE` again, with no network; --alpha may be another.")
	return c
}

// authorityHost is the host that routes are chosen by.
func (o *verifyOptions) authorityHost() string {
	if o.authority == "" {
		return o.host
	}
	if host, _, err := net.SplitHostPort(o.authority); err == nil {
		return host
	}
	return o.authority
}

// command are the words of the command that makes this one check.
func (o *verifyOptions) command() []string {
	words := []string{o.called.program, "verify", "--addr", quote(o.addr)}
	for _, f := range [][2]string{{"--authority", o.authority}, {"--namespace", o.namespace}, {"--virtual-service", o.virtualService}} {
		if f[1] != "" {
			words = append(words, f[0], quote(f[1]))
		}
	}
	return slices.Concat(words, quoteAll(o.givenAlike), o.called.connection)
}

// run is the whole way: address, target, samples, verdict, report.
func (o *verifyOptions) run(ctx context.Context) error {
	if err := o.validate(); err != nil {
		return err
	}
	if err := o.tls.read(); err != nil {
		return err
	}
	if err := o.user.read(ctx, o); err != nil {
		return err
	}
	if err := o.writable(); err != nil {
		return err
	}
	err := o.verified(ctx)
	if err == nil || o.told {
		return err
	}
	return errors.Join(err, o.untold(ended(ctx, err)))
}

// verified is the way from the cluster on: the flags are right.
func (o *verifyOptions) verified(ctx context.Context) error {
	o.begun = time.Now()
	ctx, cancel := context.WithTimeout(ctx, o.timeout+o.loadTakes())
	defer cancel()
	if o.backend.expect > 0 {
		return outOfTime(ctx, o.withoutCluster(ctx, "is asked: --expect says how many pods there should be"), o.timeout)
	}
	cluster, mesh, err := connect(o.flags)
	var none *k8s.NoConfigError
	if errors.As(err, &none) && !none.Asked && !o.several() {
		if what := o.needsCluster(); what != "" {
			return fmt.Errorf("%s takes a cluster, and none could be asked: %w", what, err)
		}
		return o.withoutCluster(ctx, err.Error())
	}
	if err != nil {
		return err
	}
	if o.several() {
		return o.runAll(ctx, cluster, mesh)
	}
	doc, evidence, err := o.examine(ctx, cluster, mesh)
	if err != nil {
		return o.unasked(outOfTime(ctx, err, o.timeout))
	}
	return o.judge(doc, *evidence)
}

// examine finds what is under test and makes the calls.
func (o *verifyOptions) examine(ctx context.Context, cluster *k8s.Cluster, mesh *istio.Mesh) (*report.Verify, *check.Evidence, error) {
	t, err := o.findTarget(ctx, cluster, mesh)
	if err != nil {
		return nil, nil, err
	}
	doc := &report.Verify{APIVersion: report.APIVersion, Kind: "VerifyReport", Address: o.addr, Authority: o.dialAuthority(), Target: o.describe(t)}
	o.say("testing    %s", doc.Target)
	for _, p := range t.policies {
		if p.Denied != nil {
			o.say("           calls might stick to a pod by design, which this user may not see: %s", p.Denied)
		}
	}
	r := &run{o: o, t: t}
	defer r.close()
	evidence, err := r.collect(ctx)
	if err != nil {
		return nil, nil, err
	}
	doc.Identified, doc.Load = evidence.Rung, r.loaded
	return doc, evidence, nil
}
