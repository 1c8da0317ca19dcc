package istio

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// Policy is what is said of the way calls are spread over a Service's pods, as
// far as it explains an uneven spread.
type Policy struct {
	Rule    string                       // namespace/name of the DestinationRules; empty: none
	Sticky  string                       // why calls of one client go to one pod by design; empty: they don't
	Prefers string                       // why some pods are preferred by design; empty: they aren't
	Within  Scope                        // what the preferred ones have in common
	Warmup  time.Duration                // how long a new pod gets fewer calls
	Idler   bool                         // of two pods drawn, the one with fewer calls under way gets the call
	Subsets map[string]map[string]string // labels of the pods of each subset
	PutsOut int                          // outlier detection puts a pod out after so many errors in a row; 0: it doesn't
	TLS     string                       // the mode by which the gateway is told to call pods; empty: it finds out itself
	HTTP2   bool                         // calls keep to HTTP/2, even on a port that Istio does not take for it
	// byLocality is the setting by which calls are shared out over localities.
	byLocality *networking.LocalityLoadBalancerSetting
	// Denied is the API server's refusal to show the DestinationRules of some
	// namespace: there may be more to say.
	Denied error
}

// Scope is what preferred pods have in common.
type Scope string

// Scopes. Where all pods are of one zone, or node, none is preferred.
const (
	Zone     Scope = "zone"
	Node     Scope = "node"
	Anything Scope = "anything"
)

// meshConfig is what of the mesh's own settings plays a part here.
type meshConfig struct {
	RootNamespace                  string                                   `json:"rootNamespace"`
	DefaultDestinationRuleExportTo []string                                 `json:"defaultDestinationRuleExportTo"`
	LocalityLbSetting              *networking.LocalityLoadBalancerSetting  `json:"localityLbSetting"`
	ZoneAwareLbSetting             *networking.ZoneAwareLoadBalancerSetting `json:"zoneAwareLbSetting"`
	H2UpgradePolicy                string                                   `json:"h2UpgradePolicy"`
}

// PolicyOf reads what governs a client's calls to a destination, a Service's
// port. Namespaces whose DestinationRules this user may not list are passed
// over, and told of in Denied.
func (m *Mesh) PolicyOf(ctx context.Context, client Client, svc *corev1.Service, port int, d Destination) (Policy, error) {
	mesh := m.config(ctx)
	namespaces := []string{client.Namespace, svc.Namespace, mesh.RootNamespace}
	slices.Sort(namespaces)
	var all []*clientnet.DestinationRule
	var denied error
	for _, namespace := range slices.Compact(namespaces) {
		list, err := m.networking.DestinationRules(namespace).List(ctx, metav1.ListOptions{})
		switch {
		case apierrors.IsForbidden(err):
			denied = fmt.Errorf("listing DestinationRules in namespace %s: %w", namespace, err)
		case err != nil:
			return Policy{}, fmt.Errorf("listing DestinationRules in namespace %s: %w", namespace, err)
		default:
			all = append(all, list.Items...)
		}
	}
	rule, names := ruleFor(all, mesh, client, svc.Name, svc.Namespace)
	p := policyOf(rule, mesh, svc, port, d)
	p.Rule, p.Denied = strings.Join(names, ", "), denied
	return p, nil
}

// config reads the mesh's settings, or assumes the usual ones: where they stand
// can't be told for every mesh, and not every user may read them.
func (m *Mesh) config(ctx context.Context) meshConfig {
	cm, err := m.core.CoreV1().ConfigMaps(istioNamespace).Get(ctx, "istio", metav1.GetOptions{})
	if err != nil {
		return parseMeshConfig("")
	}
	return parseMeshConfig(cm.Data["mesh"])
}

const istioNamespace = "istio-system"

func parseMeshConfig(text string) meshConfig {
	var c meshConfig
	if err := yaml.Unmarshal([]byte(text), &c); err != nil {
		c = meshConfig{}
	}
	c.RootNamespace = cmp.Or(c.RootNamespace, istioNamespace)
	if c.LocalityLbSetting == nil {
		c.LocalityLbSetting = &networking.LocalityLoadBalancerSetting{} // on, unless it says otherwise
	}
	return c
}

// policyOf reads a rule; rule may be nil.
func policyOf(rule *networking.DestinationRule, mesh meshConfig, svc *corev1.Service, port int, d Destination) Policy {
	p := Policy{Subsets: map[string]map[string]string{}}
	var ofSubset *networking.TrafficPolicy
	for _, s := range rule.GetSubsets() {
		p.Subsets[s.Name] = s.Labels
		if s.Name == d.Subset {
			ofSubset = s.TrafficPolicy
		}
	}
	lb, outlier := effective(rule.GetTrafficPolicy(), ofSubset, port)
	p.Sticky = sticky(lb, routeHash(rule.GetTrafficPolicy(), ofSubset, d.Port))
	p.Idler = idler(lb)
	p.Prefers, p.Within = prefers(lb, outlier, mesh, svc)
	p.byLocality = byLocality(lb, outlier, mesh, p.Prefers)
	p.PutsOut = putsOut(outlier)
	p.TLS = effectiveTLS(rule.GetTrafficPolicy(), ofSubset, port)
	p.HTTP2 = keepsHTTP2(rule.GetTrafficPolicy(), ofSubset, mesh, port)
	p.Warmup = cmp.Or(lb.GetWarmup().GetDuration().AsDuration(), lb.GetWarmupDurationSecs().AsDuration()) // the second is deprecated, and in use
	return p
}

// effective is what counts for one port: settings for the port replace those
// for all ports as a whole, and a subset's replace the rule's, each by itself.
func effective(rule, subset *networking.TrafficPolicy, port int) (*networking.LoadBalancerSettings, *networking.OutlierDetection) {
	lb, outlier := rule.GetLoadBalancer(), rule.GetOutlierDetection()
	if p := portLevel(rule, port); p != nil {
		lb, outlier = p.LoadBalancer, p.OutlierDetection
	}
	if p := portLevel(subset, port); p != nil {
		return p.LoadBalancer, p.OutlierDetection
	}
	if subset.GetLoadBalancer() != nil {
		lb = subset.LoadBalancer
	}
	if subset.GetOutlierDetection() != nil {
		outlier = subset.OutlierDetection
	}
	return lb, outlier
}

// putsOut is after how many 5xx in a row outlier detection puts a pod out; 0
// where it doesn't. Envoy's own default is 5. What gRPC calls UNIMPLEMENTED or
// INTERNAL are such; the narrower gateway errors are not.
func putsOut(outlier *networking.OutlierDetection) int {
	switch {
	case outlier == nil:
		return 0
	case outlier.Consecutive_5XxErrors != nil:
		return int(outlier.Consecutive_5XxErrors.Value)
	}
	return 5
}

// keepsHTTP2 says whether a gateway makes its calls to the port by HTTP/2
// because it was told to, by the rule or by the mesh (istiod's
// shouldH2Upgrade). The mesh's word is taken for every port, though istiod
// heeds it for those of HTTP alone.
func keepsHTTP2(rule, subset *networking.TrafficPolicy, mesh meshConfig, port int) bool {
	pool := rule.GetConnectionPool()
	if p := portLevel(rule, port); p != nil {
		pool = p.ConnectionPool
	}
	if p := portLevel(subset, port); p != nil {
		pool = p.ConnectionPool
	} else if subset.GetConnectionPool() != nil {
		pool = subset.ConnectionPool
	}
	switch http := pool.GetHttp(); {
	case http.GetUseClientProtocol():
		return true
	case http.GetH2UpgradePolicy() != networking.ConnectionPoolSettings_HTTPSettings_DEFAULT:
		return http.GetH2UpgradePolicy() == networking.ConnectionPoolSettings_HTTPSettings_UPGRADE
	}
	return mesh.H2UpgradePolicy == "UPGRADE"
}

func portLevel(policy *networking.TrafficPolicy, port int) *networking.TrafficPolicy_PortTrafficPolicy {
	for _, p := range policy.GetPortLevelSettings() {
		if p.Port != nil && int(p.Port.Number) == port {
			return p
		}
	}
	return nil
}

// routeHash is what the gateway's route hashes calls by. Routes look at a
// port's settings only where they name the port (istiod's
// HashForHTTPDestination); without a hash, consistent hashing draws at random.
func routeHash(rule, subset *networking.TrafficPolicy, named int) *networking.LoadBalancerSettings_ConsistentHashLB {
	for _, hash := range []*networking.LoadBalancerSettings_ConsistentHashLB{
		portLevel(subset, named).GetLoadBalancer().GetConsistentHash(),
		subset.GetLoadBalancer().GetConsistentHash(),
		portLevel(rule, named).GetLoadBalancer().GetConsistentHash(),
	} {
		if hash != nil {
			return hash
		}
	}
	return rule.GetLoadBalancer().GetConsistentHash()
}

// sticky is why calls of one client go to one pod, or "".
func sticky(lb *networking.LoadBalancerSettings, hash *networking.LoadBalancerSettings_ConsistentHashLB) string {
	if lb.GetSimple() == networking.LoadBalancerSettings_PASSTHROUGH {
		return "load balancing is off (PASSTHROUGH)"
	}
	if lb.GetConsistentHash() == nil {
		return ""
	}
	switch key := hash.GetHashKey().(type) {
	case *networking.LoadBalancerSettings_ConsistentHashLB_HttpHeaderName:
		return "consistent hashing on header " + key.HttpHeaderName
	case *networking.LoadBalancerSettings_ConsistentHashLB_HttpCookie:
		return "consistent hashing on cookie " + key.HttpCookie.GetName()
	case *networking.LoadBalancerSettings_ConsistentHashLB_UseSourceIp:
		if key.UseSourceIp {
			return "consistent hashing on the client's address"
		}
	case *networking.LoadBalancerSettings_ConsistentHashLB_HttpQueryParameterName:
		return "consistent hashing on query parameter " + key.HttpQueryParameterName
	}
	return ""
}

// idler says whether the balancer minds how busy each pod is. Where nothing is
// said it is assumed: Istio's default since 1.14.
func idler(lb *networking.LoadBalancerSettings) bool {
	if lb.GetConsistentHash() != nil {
		return false
	}
	switch lb.GetSimple() {
	case networking.LoadBalancerSettings_ROUND_ROBIN, networking.LoadBalancerSettings_RANDOM, networking.LoadBalancerSettings_PASSTHROUGH:
		return false
	case networking.LoadBalancerSettings_UNSPECIFIED, networking.LoadBalancerSettings_LEAST_REQUEST, networking.LoadBalancerSettings_LEAST_CONN: //nolint:staticcheck // the last is deprecated, and in use
	}
	return true
}

// prefers is why the gateway prefers some pods to others, or "". In order of
// weight: the rule, the Service, the mesh. Failover between localities is in
// force wherever outlier detection is, unless it is turned off.
func prefers(lb *networking.LoadBalancerSettings, outlier *networking.OutlierDetection, mesh meshConfig, svc *corev1.Service) (string, Scope) {
	locality := lb.GetLocalityLbSetting()
	zoneAware := lb.GetZoneAwareLbSetting()
	if locality == nil && zoneAware == nil {
		kind := cmp.Or(deref(svc.Spec.TrafficDistribution), svc.Annotations["networking.istio.io/traffic-distribution"])
		switch strings.ToLower(kind) {
		case "preferclose", "prefersamezone":
			return "trafficDistribution " + kind + " of Service " + svc.Namespace + "/" + svc.Name, Zone
		case "prefersamenode":
			return "trafficDistribution " + kind + " of Service " + svc.Namespace + "/" + svc.Name, Node
		}
		locality, zoneAware = mesh.LocalityLbSetting, mesh.ZoneAwareLbSetting
	}
	if zoneAware != nil {
		if zoneAware.Enabled != nil && !zoneAware.Enabled.Value {
			return "", ""
		}
		return "zoneAwareLbSetting", Zone
	}
	switch {
	case locality.GetEnabled() != nil && !locality.Enabled.Value:
	case len(locality.GetDistribute()) > 0:
		return "localityLbSetting.distribute", Zone
	case outlier == nil: // failover is not in force
	case len(locality.GetFailoverPriority()) > 0:
		return "localityLbSetting.failoverPriority", Anything
	default:
		return "outlierDetection turns locality failover on", Zone
	}
	return "", ""
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
