#!/usr/bin/env bash
# Writes the CRDs and the objects to begin with of the chart from the Rust types. Read the difference: it is what a
# cluster without Rancher will serve.
set -euo pipefail
cd "$(dirname "$0")/.."

SNAPSHOTS=overwrite cargo test --quiet --package management --test all
