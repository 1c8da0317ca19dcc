package finding

import "slices"

// The codes. They are stable: a code is never reused.
const (
	// Access, and the mesh itself.
	Denied      = "GM101"
	NoNamespace = "GM102"
	Terminating = "GM103"
	NoCRDs      = "GM104"
	NoInjector  = "GM105"
	MeshsOwn    = "GM106"
	Excluded    = "GM107"
	Unchecked   = "GM108"
	OldMesh     = "GM109"

	// Injection.
	OptedOut       = "GM110"
	Stale          = "GM111"
	OtherRevision  = "GM112"
	WhichRevision  = "GM113"
	NoRevision     = "GM114"
	Ambient        = "GM115"
	Declines       = "GM116"
	HostNetwork    = "GM117"
	TouchesJobs    = "GM118"
	TwoLabels      = "GM119"
	PodRefused     = "GM120"
	QuotaFull      = "GM121"
	NoSidecarMade  = "GM122"
	MissingSidecar = "GM123"
	NotTaken       = "GM124"

	// The workload and its restart.
	WhichWorkload = "GM130"
	Paused        = "GM131"
	OnDelete      = "GM132"
	Partition     = "GM133"
	Gap           = "GM134"
	Budget        = "GM135"
	NoCanary      = "GM136"

	// The port, and the Services before it.
	NoTarget      = "GM139"
	NoPort        = "GM140"
	WhichPort     = "GM141"
	NotGRPC       = "GM142"
	OddGRPC       = "GM143"
	PortProtocol  = "GM144"
	Headless      = "GM145"
	LeadsToOthers = "GM146"
	SelectsOthers = "GM147"
	TwoPorts      = "GM148"
	NoServices    = "GM149"

	// The ingress gateway.
	NoGateway     = "GM150"
	WhichGateway  = "GM151"
	Asleep        = "GM152"
	PortClosed    = "GM153"
	PortBarred    = "GM154"
	NoAddress     = "GM155"
	SelectsNoPods = "GM156"
	NoSecret      = "GM157"
	BadSecret     = "GM158"
	NoReadyPod    = "GM159"

	// Gateways and VirtualServices.
	PortHeld     = "GM160"
	Redirects    = "GM161"
	RouteClash   = "GM162"
	ClashBeside  = "GM163"
	Overtaken    = "GM164"
	OtherGateway = "GM165"
	Unbound      = "GM166"
	HostUnheard  = "GM167"
	NoService    = "GM168"
	RuleClash    = "GM169"

	// Objects that are someone else's.
	NotOurs       = "GM170"
	OtherManager  = "GM171"
	OtherWorkload = "GM172"
	TwoGateways   = "GM173"

	// TLS.
	TwoCertificates = "GM180"
	OddSecret       = "GM181"

	// What an address that verify is to dial leads to.
	NoListener = "GM190"
	NoRoute    = "GM191"
)

// Code describes one code.
type Code struct {
	Code     string   `json:"code"`
	Severity Severity `json:"severity"` // as a rule; what does no harm where it was found is a warning
	Istio    string   `json:"istio,omitempty"`
	Meaning  string   `json:"meaning"`
}

// Codes are all codes, sorted. Istio's are those by which `istioctl analyze` of
// Istio 1.31 tells the same thing (IST0104 of older ones is IST0162 there).
func Codes() []Code {
	return []Code{
		{Denied, Error, "", "this user may not do all that it takes"},
		{NoNamespace, Error, "", "there is no such namespace"},
		{Terminating, Error, "", "the namespace is being deleted"},
		{NoCRDs, Error, "", "the cluster does not serve Istio's kinds, or only others than v1alpha3"},
		{NoInjector, Error, "", "no webhook of the cluster adds sidecars"},
		{MeshsOwn, Error, "", "the mesh itself runs in the namespace"},
		{Excluded, Error, "", "the injector passes the namespace by, whatever its labels"},
		{Unchecked, Warning, "", "something was not looked at, for want of a permission"},
		{OldMesh, Warning, "", "the gateway's proxies are older than what grpcmesh needs"},
		{OptedOut, Error, "", "the namespace says istio-injection=disabled"},
		{Stale, Error, "", "the namespace carries an injection label that no live injector answers to"},
		{OtherRevision, Error, "", "the namespace is injected by another revision than --revision asks for"},
		{WhichRevision, Error, "", "several revisions of the mesh are live, and none is chosen"},
		{NoRevision, Error, "", "no live injector has the revision that is asked for"},
		{Ambient, Error, "", "the namespace is ambient: its pods get no sidecar"},
		{Declines, Error, "", "the pod template declines the sidecar"},
		{HostNetwork, Error, "", "the pods use the host's network, and the injector passes such pods by"},
		{TouchesJobs, Warning, "", "the namespace's label will reach Jobs too"},
		{TwoLabels, Warning, "IST0123", "the namespace has more than one label that decides on injection"},
		{PodRefused, Error, "", "a pod with the sidecar would be refused by admission"},
		{QuotaFull, Error, "", "the namespace's quota has no room for a pod with the sidecar"},
		{NoSidecarMade, Error, "", "the injector answers, but adds no sidecar"},
		{MissingSidecar, Error, "IST0103", "pods lack the sidecar that their namespace's label asks for"},
		{NotTaken, Error, "", "no label of the namespace that grpcmesh sets makes an injector take it"},
		{WhichWorkload, Error, "", "the workload is missing, or several fit"},
		{Paused, Error, "", "the Deployment is paused, so no restart happens"},
		{OnDelete, Error, "", "the update strategy is OnDelete, so a restart replaces no pod"},
		{Partition, Error, "", "the StatefulSet's partition keeps pods from being restarted"},
		{Gap, Error, "", "a restart would leave no pod in service for a while"},
		{Budget, Error, "", "a restart may take away more pods at once than a PodDisruptionBudget allows"},
		{NoCanary, Error, "", "the version that is to get a part of the calls has no ready pod"},
		{NoTarget, Error, "", "a Service's port leads to a port name that no container declares"},
		{NoPort, Error, "", "the port that the app speaks gRPC on is not known"},
		{WhichPort, Error, "", "the app may speak gRPC on several ports"},
		{NotGRPC, Error, "", "a pod does not answer gRPC on the port"},
		{OddGRPC, Warning, "", "a pod answers HTTP/2, but not as gRPC servers do"},
		{PortProtocol, Error, "", "Istio does not take a Service's port for gRPC, by its name or appProtocol"},
		{Headless, Warning, "", "a Service is headless: nothing balances its calls"},
		{LeadsToOthers, Error, "", "a Service leads to more than the workload's pods"},
		{SelectsOthers, Error, "", "a Service by the workload's labels would lead to others' pods too"},
		{TwoPorts, Warning, "IST0137", "two ports of Services lead to one port of the pods"},
		{NoServices, Error, "", "the app does not tell which gRPC services it has"},
		{NoGateway, Error, "", "the cluster has no ingress gateway"},
		{WhichGateway, Error, "", "no ingress gateway has the labels, or several fit"},
		{Asleep, Error, "", "the ingress gateway has no pods"},
		{PortClosed, Error, "IST0162", "the gateway's Service does not open the port"},
		{PortBarred, Error, "", "the gateway's pods can't serve plaintext gRPC on the port"},
		{NoAddress, Warning, "", "the gateway's load balancer has no address"},
		{SelectsNoPods, Error, "IST0101", "a Gateway's selector matches no gateway"},
		{NoSecret, Error, "IST0101", "the Secret of the gateway's certificate is not in its namespace"},
		{BadSecret, Error, "", "the Secret holds no certificate with its key, or, for mutual TLS, no CA"},
		{NoReadyPod, Error, "", "a route leads to a Service without a ready pod"},
		{PortHeld, Error, "", "a Gateway holds the port for another protocol"},
		{Redirects, Error, "", "a Gateway redirects the host's calls to HTTPS"},
		{RouteClash, Error, "", "another VirtualService serves the same calls"},
		{ClashBeside, Error, "", "a route would answer for another's host on a port that no one asked for"},
		{Overtaken, Error, "", "another route stands before this one and takes its calls"},
		{OtherGateway, Error, "", "the namespace's Gateway is for another ingress gateway"},
		{Unbound, Error, "IST0101", "a VirtualService names a Gateway that is not there"},
		{HostUnheard, Error, "IST0132", "none of a VirtualService's Gateways listens for its hosts"},
		{NoService, Error, "IST0101", "a route leads to a Service, or a port of one, that is not there"},
		{RuleClash, Error, "", "another DestinationRule governs the gateway's calls to the Service"},
		{NotOurs, Error, "", "an object of that name exists and was not made by grpcmesh"},
		{OtherManager, Error, "", "fields belong to another field manager"},
		{OtherWorkload, Error, "", "grpcmesh made the object for another workload"},
		{TwoGateways, Warning, "IST0145", "two Gateways listen for one host on one port"},
		{TwoCertificates, Error, "", "another TLS server has the host on the port"},
		{OddSecret, Warning, "", "clients will refuse the gateway's certificate: it is expired, or for another name"},
		{NoListener, Error, "", "no Gateway listens on the port that the address leads to"},
		{NoRoute, Error, "", "no VirtualService serves the host through the gateway that the address leads to"},
	}
}

// Lookup is what the catalogue says of a code. One that it lacks, which a test
// rules out, is an error.
func Lookup(code string) Code {
	all := Codes()
	if i := slices.IndexFunc(all, func(c Code) bool { return c.Code == code }); i >= 0 {
		return all[i]
	}
	return Code{Code: code, Severity: Error}
}
