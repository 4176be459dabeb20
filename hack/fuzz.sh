#!/usr/bin/env bash
# Runs every fuzz target for some time, with new inputs in each run, and prints the number of
# inputs. The number of concurrent targets is the number of processors.
#
#   hack/fuzz.sh            # ten minutes for each target
#   hack/fuzz.sh 60         # one minute for each target
#   hack/fuzz.sh 60 jwt     # only targets with jwt in their names
#
# An input that fails is written to target/fuzz/. `cargo test` runs each of the same targets for
# about a second.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly packages=(fuzz apiserver gateway oidc kubectl-kubeconfig)
readonly filter=${2:-}
export FUZZ_SECONDS=${1:-600}

for package in "${packages[@]}"; do
  # In the package fuzz, all tests are targets. In other packages, targets have fuzz in their names.
  only=fuzz
  [[ $package == fuzz ]] && only=$filter
  nice -n 19 cargo test --package "$package" "$only" -- --test-threads="$(nproc)" --nocapture
done
