#!/usr/bin/env bash
# Runs every fuzz target for some seconds, as many at once as there are processors, with other inputs each time, and tells how many.
#
#   hack/fuzz.sh            # ten minutes each
#   hack/fuzz.sh 60         # a minute each
#   hack/fuzz.sh 60 jwt     # those whose name contains jwt
#
# An input that fails is written to target/fuzz/. `cargo test` runs the same targets for about a second each.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly packages=(fuzz apiserver gateway oidc kubectl-kubeconfig)
readonly filter=${2:-}
export FUZZ_SECONDS=${1:-600}

for package in "${packages[@]}"; do
  # In fuzz all tests are targets; elsewhere their names say so.
  only=fuzz
  [[ $package == fuzz ]] && only=$filter
  nice -n 19 cargo test --package "$package" "$only" -- --test-threads="$(nproc)" --nocapture
done
