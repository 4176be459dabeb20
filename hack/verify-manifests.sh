#!/usr/bin/env bash
# Checks that deploy/aggregated/ is up to date with the chart.
set -euo pipefail
cd "$(dirname "$0")/.."

rendered=$(mktemp -d)
trap 'rm -rf "$rendered"' EXIT

cp deploy/aggregated/{README.md,kustomization.yaml,namespace.yaml} "$rendered"
hack/update-manifests.sh "$rendered"
diff -ru deploy/aggregated "$rendered" ||
  { printf 'verify-manifests: run hack/update-manifests.sh to render them again\n' >&2; exit 1; }
