package check

import "fmt"

// Port is a Service's port.
type Port struct {
	Namespace string `json:"namespace"`
	Service   string `json:"service"`
	Number    int    `json:"number"`
	Index     int    `json:"index"` // in the Service's list, from 0
	Words     string `json:"words"` // what Istio goes by: its name and appProtocol
}

// protocol blames a port that Istio does not take for HTTP/2. A reply then
// comes by HTTP/1.1 and has no trailers, which every client needs; this run's
// own calls end without a reply and don't show it.
func (d *digest) protocol() []Finding {
	p := d.Misread
	if p.Service == "" {
		return nil
	}
	return []Finding{found(codeMisread, "service "+p.Namespace+"/"+p.Service,
		fmt.Sprintf("Istio does not take its port %d for gRPC (%s): replies lose their trailers, and clients see \"server closed the stream without sending trailers\"", p.Number, p.Words),
		fmt.Sprintf(`kubectl -n %s patch service %s --type=json -p '[{"op":"add","path":"/spec/ports/%d/appProtocol","value":"grpc"}]'`, p.Namespace, p.Service, p.Index))}
}
