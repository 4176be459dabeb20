#!/usr/bin/env bash
# Runs every test of the workspace, including those with a real kubectl and real clusters. The
# programs that these tests need are built in parallel with the workspace.
#
# Without those programs (no Go, no KUBEBUILDER_ASSETS) their tests are skipped. With CI=true that
# is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

paths=$(mktemp)
trap 'rm -f "$paths"' EXIT
hack/tools.sh kubectl etcd kube-apiserver kube-controller-manager helm client-go oidc-provider >"$paths" &
build=$!

# Build programs, tests and examples together, because `cargo test` alone does not build the
# programs of other packages.
cargo build --workspace --all-targets

if wait "$build"; then
  built=${CARGO_TARGET_DIR:-$PWD/target}/debug
  export KUBECTL KUBECONFIG_APISERVER=$built/kubeconfig-apiserver FLUNDERS=$built/examples/flunders
  export KUBECTL_KUBECONFIG=$built/kubectl-kubeconfig TEST_CLUSTER=$built/test-cluster
  KUBECTL=$(head -n 1 "$paths")
  cargo test --workspace
elif [[ ${CI:-} == true ]]; then
  exit 1
else
  printf 'test: the tests with a real kubectl and real clusters are left out\n' >&2
  cargo test --workspace --exclude e2e --exclude host -- --skip etcd::
fi
