# make demo   the whole way on a real mesh, on this machine
# make test   everything: lint, unit tests, end-to-end tests on the lab
# make bench-verify   the load engine beside ghz, fortio and h2load, into bench/verify.md
# LAB_FLAGS   are handed to lab/up, for instance LAB_FLAGS=--gateway-replicas=2

SHELL         := /bin/bash
CACHE         := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/grpcmesh
LINT_VERSION  := v2.15.0
LINT          := $(CACHE)/tools/golangci-lint-$(LINT_VERSION)/golangci-lint
VULN_VERSION  := v1.6.0
GHZ           := $(CACHE)/tools/ghz-v0.121.0
FORTIO        := $(CACHE)/tools/fortio-v1.68.2
UNIT          := ./cmd/... ./internal/... ./testdata/server/...
NAMESPACE     := test
RELEASE       := -trimpath -tags grpcnotrace -ldflags "-s -w"
SUDO          := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: build install test test-unit test-lab test-e2e lint vuln demo chromium lab-up lab-down generate bench-expose bench-verify

build: ## the binary, in bin/
	go build $(RELEASE) -o bin/grpcmesh ./cmd/grpcmesh

install:
	go install $(RELEASE) ./cmd/grpcmesh

test: lint test-unit test-lab test-e2e

test-unit:
	go test -race $(UNIT)
	go test -run '^TestWorlds' ./cmd -rapid.checks=5000 # 10,000 random worlds

test-lab: ## the lab's own code; the lab need not be up
	cd lab && go vet ./... && go test ./...

# The lab is left as it was found: up if it was up, else away.
test-e2e: build chromium
	@lab/run true >/dev/null 2>&1 && was=up || was=down; \
	lab/up $(LAB_FLAGS) && go test -count=1 -timeout 20m -parallel 4 ./e2e/...; rc=$$?; \
	[ $$was = up ] || lab/down || rc=1; \
	exit $$rc

chromium: ## which tests open the HTML report in
	@command -v chromium >/dev/null || { $(SUDO) apt-get update -q && \
	$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium; }

lint: $(LINT)
	go vet $(UNIT) ./e2e/... ./bench/...
	$(LINT) run $(UNIT) ./e2e/... ./bench/expose
	cd lab && $(LINT) run ./...

$(LINT):
	GOBIN=$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)

vuln: ## needs the vulnerability database, which not every machine reaches
	go run golang.org/x/vuln/cmd/govulncheck@$(VULN_VERSION) ./...

lab-up:
	lab/up $(LAB_FLAGS)

lab-down:
	lab/down

demo: build lab-up
	testdata/demo.sh $(NAMESPACE)

# Some 12 minutes, on a machine that does nothing else.
bench-verify: $(GHZ)/ghz $(FORTIO)/fortio
	@command -v h2load >/dev/null && command -v taskset >/dev/null || { echo 'h2load and taskset are needed: apt-get install nghttp2-client util-linux' >&2; exit 1; }
	go build -trimpath -o bin/bench-verify ./bench/verify
	bin/bench-verify -ghz $(GHZ)/ghz -fortio $(FORTIO)/fortio -out bench/verify.md

$(GHZ)/ghz:
	GOBIN=$(@D) go install github.com/bojand/ghz/cmd/ghz@$(subst ghz-,,$(notdir $(GHZ)))

$(FORTIO)/fortio:
	GOBIN=$(@D) go install fortio.org/fortio@$(subst fortio-,,$(notdir $(FORTIO)))

BENCH_FLAGS ?=
bench-expose: build lab-up ## what it costs to expose services, beside kubectl and istioctl: writes bench/expose.md
	PATH="$(CURDIR)/.lab/bin:$$PATH" KUBECONFIG="$(CURDIR)/.lab/kubeconfig" go run ./bench/expose $(BENCH_FLAGS)
