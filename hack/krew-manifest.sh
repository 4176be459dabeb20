#!/usr/bin/env bash
# Prints the krew manifest of a release on stdout.
#
#   hack/krew-manifest.sh v1.2.3 https://HOST/PROJECT https://HOST/DOWNLOADS/v1.2.3 FOLDER
#
# FOLDER contains kubectl-kubeconfig-{linux,darwin}-{amd64,arm64}.tar.gz, which the third argument
# will serve. Each archive has the program kubectl-kubeconfig and the file LICENSE at its top.
set -euo pipefail

(($# == 4)) || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
readonly version=$1 homepage=$2 url=$3 folder=$4

[[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?$ ]] ||
  { printf 'krew-manifest: %q is not a version such as v1.2.3\n' "$version" >&2; exit 2; }
for address in "$homepage" "$url"; do
  [[ $address =~ ^https://[0-9A-Za-z.:-]+(/[][0-9A-Za-z._~:/?#@!\$\&\'()*+,\;=%-]*)?$ ]] ||
    { printf 'krew-manifest: %q is not an https URL\n' "$address" >&2; exit 2; }
done

# Escapes the characters that are special in a sed replacement with bars as delimiters.
# shellcheck disable=SC2001 # bash 5.2 interprets & in such a replacement, and older versions do not
escape() { sed 's/[\\&|]/\\&/g' <<<"$1"; }

# Prints the SHA-256 sum of an archive. Fails if the archive is missing.
sum() { sha256sum "$folder/kubectl-kubeconfig-$1.tar.gz" | cut -d ' ' -f 1; }

substitutions=(-e '1d' -e "s|VERSION|$(escape "$version")|" -e "s|HOMEPAGE|$(escape "$homepage")|"
  -e "s|uri: URL/|uri: $(escape "$url")/|")
for platform in linux-amd64 linux-arm64 darwin-amd64 darwin-arm64; do
  name=${platform^^}
  hash=$(sum "$platform")
  substitutions+=(-e "s|SHA256_${name/-/_}|$hash|")
done
sed "${substitutions[@]}" "$(dirname "$0")/../deploy/krew/kubeconfig.yaml"
