#!/usr/bin/env bash
# Generates the CRDs and the default objects of the chart from the Rust types. Review the changes: a
# cluster without Rancher will serve these CRDs.
set -euo pipefail
cd "$(dirname "$0")/.."

SNAPSHOTS=overwrite cargo test --quiet --package management --test all
