#!/usr/bin/env bash
# Checks that the CRDs of the chart match the Rust types. `make test` includes this check.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo test --quiet --package management --test all ||
  { printf 'verify-crds: hack/update-crds.sh generates them again\n' >&2; exit 1; }
