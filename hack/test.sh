#!/usr/bin/env bash
# Runs every test of the workspace, those with a real kubectl included. Kubectl and the workspace
# are built side by side.
#
# Without kubectl (no Go, no KUBEBUILDER_ASSETS) its tests are left out; with CI=true that is a
# failure.
set -euo pipefail
cd "$(dirname "$0")/.."

path=$(mktemp)
trap 'rm -f "$path"' EXIT
hack/tools.sh kubectl >"$path" &
build=$!

# One build for programs, tests and examples: `cargo test` alone builds no program.
cargo build --workspace --all-targets

if wait "$build"; then
  export KUBECTL KUBECONFIG_APISERVER=${CARGO_TARGET_DIR:-$PWD/target}/debug/kubeconfig-apiserver
  KUBECTL=$(cat "$path")
  cargo test --workspace
elif [[ ${CI:-} == true ]]; then
  exit 1
else
  printf 'test: the tests with a real kubectl are left out\n' >&2
  cargo test --workspace --exclude e2e
fi
