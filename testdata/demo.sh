#!/usr/bin/env bash
# The whole way, once: the procedure's Deployment with three replicas on the
# lab's mesh, exposed by one command, proved by a second, and beside it what
# layer 4 makes of the same pods. Usage: testdata/demo.sh NAMESPACE
# The namespace is deleted at the end, unless KEEP=1 or it was there before; then
# it is said how to take away what was added.
set -euo pipefail
cd "$(dirname "$0")/.."
ns=${1:-test}
export KUBECONFIG=$PWD/.lab/kubeconfig PATH=$PWD/bin:$PWD/.lab/bin:$PATH
step() { printf '\n\033[1m%s\033[0m\n' "$*"; }

step "The procedure's Deployment, with three replicas, in namespace $ns"
if kubectl get namespace "$ns" >/dev/null 2>&1; then
  KEEP=1 before=1
else
  kubectl create namespace "$ns"
fi
sed "s/namespace: test/namespace: $ns/; s/replicas: 1/replicas: 3/" testdata/procedure/deployment.yaml | kubectl apply -f -
kubectl -n "$ns" rollout status deployment/server --timeout=120s

step "grpcmesh expose --namespace $ns"
grpcmesh expose --namespace "$ns"

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
step "grpcmesh verify --addr 127.0.0.1:8000        (through the gateway)"
grpcmesh verify --addr 127.0.0.1:8000 | tee "$out/gateway"

address=$(kubectl -n "$ns" get service server -o 'jsonpath={.spec.clusterIP}'):8000
step "grpcmesh verify --addr $address        (the same pods, by the Service's own address)"
rc=0
lab/run grpcmesh verify --addr "$address" | tee "$out/layer4" || rc=$?
[ "$rc" = 3 ] || { echo "layer 4 was expected to fail with exit code 3, not $rc" >&2; exit 1; }

step "Side by side: calls on one connection"
bars() { sed -n '/^POD/,/^$/p' "$1" | tail -n +2 | awk 'NF { printf "%-28s %3d %s\n", $1, $2, $5 }'; }
printf '%-62s %s\n' "through the gateway (layer 7)" "by the Service's address (layer 4)"
paste -d'|' <(bars "$out/gateway") <(bars "$out/layer4") | awk -F'|' '{ printf "%-62s %s\n", $1, $2 }'
if [ "${before:-}" = 1 ]; then
  printf '\nNamespace %s was there before and stays. Take the exposure back with: grpcmesh unexpose server -n %s --restart\n' "$ns" "$ns"
  printf 'and the Deployment that the demo applied with: kubectl -n %s delete deployment server\n' "$ns"
elif [ "${KEEP:-}" = 1 ]; then
  printf '\nThe exposure stays; take it back with: grpcmesh unexpose server -n %s --restart\n' "$ns"
  printf 'or remove the namespace, made for the demo, whole: kubectl delete namespace %s\n' "$ns"
else
  kubectl delete namespace "$ns" --wait >/dev/null
  printf '\nNamespace %s is deleted again (KEEP=1 make demo keeps it).\n' "$ns"
fi
echo "The lab stays up; take it away with: make lab-down"
