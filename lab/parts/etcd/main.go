// Command etcd is the lab's cluster store: etcd's own server behind a main of
// our own, because its module carries replace directives that `go install`
// refuses.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
