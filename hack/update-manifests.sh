#!/usr/bin/env bash
# Renders deploy/aggregated/ from the chart with its default values, for installations without helm.
#
#   hack/update-manifests.sh        # into deploy/aggregated
#   hack/update-manifests.sh DIR    # into DIR
set -euo pipefail
cd "$(dirname "$0")/.."

readonly name=kubeconfig-apiserver
target=${1:-deploy/aggregated}
rendered=$(mktemp -d)
trap 'rm -rf "$rendered"' EXIT

# The objects of management.cattle.io are only in the chart, because they must not overwrite
# existing objects.
"$(hack/tools.sh helm)" template "$name" "charts/$name" --namespace "$name" --set management.defaults=false \
  --output-dir "$rendered" >/dev/null

mkdir -p "$target"
find "$target" -name '*.yaml' ! -name namespace.yaml ! -name kustomization.yaml -delete
for file in "$rendered/$name/templates"/*.yaml; do
  # Remove the comments and labels that are valid only for objects of helm.
  sed -e '/^# Source: /d' -e '/helm\.sh\/chart: /d' -e '/managed-by: Helm$/d' "$file" |
    sed -e '1{/^---$/d}' -e '${/^$/d}' >"$target/$(basename "$file")"
done
