#!/usr/bin/env bash
# Builds pinned tools, each once, into a cache folder outside the tree and prints their paths.
#
#   hack/tools.sh kubectl              # the path of kubectl on stdout, progress on stderr
#   hack/tools.sh kubectl cargo-deny   # one path a line
#
# Go tools are pinned by hack/tools/go.mod and go.sum, Cargo tools by the table below. A tool found
# in $KUBEBUILDER_ASSETS wins over the pinned one. $XDG_CACHE_HOME moves the cache.
set -euo pipefail

go_module=$(cd "$(dirname "$0")/tools" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kubeconfig-apiserver/tools
readonly go_module cache

# Cargo tools: the version of each.
readonly cargo_deny_version=0.20.2

say() { printf 'tools: %s\n' "$*" >&2; }

die() {
  say "$*"
  exit 1
}

main() {
  (($# > 0)) || die "usage: hack/tools.sh TOOL... (known: kubectl, cargo-deny)"
  local tool
  for tool in "$@"; do
    case $tool in
      kubectl) provide "$tool" "$(kubernetes_version)" build_kubernetes ;;
      cargo-deny) provide "$tool" "v$cargo_deny_version" build_with_cargo ;;
      *) die "unknown tool $tool (known: kubectl, cargo-deny)" ;;
    esac
  done
}

# Prints the path of a tool, building it first where the cache does not hold it.
provide() {
  local tool=$1 version=$2 build=$3
  local asset=${KUBEBUILDER_ASSETS:-/nonexistent}/$tool
  local folder=$cache/$tool-$version
  if [[ -x $asset ]]; then
    printf '%s\n' "$asset"
    return
  fi
  [[ -x $folder/$tool ]] || build_locked "$tool" "$version" "$build" "$folder"
  printf '%s\n' "$folder/$tool"
}

# Builds in a folder of its own and renames at the end, so that nobody sees half a tool. The lock
# only saves work: where there is no flock, two runs build the same and the later rename wins.
build_locked() {
  local tool=$1 version=$2 build=$3 folder=$4 staging
  mkdir -p "$cache"
  exec {lock}>"$cache/$tool.lock"
  if command -v flock >/dev/null; then
    flock -n "$lock" || { say "waiting for another build of $tool"; flock "$lock"; }
  fi
  if [[ ! -x $folder/$tool ]]; then
    staging=$(mktemp -d "$cache/.$tool.XXXXXX")
    # shellcheck disable=SC2064 # the folder of this tool, not of a later one
    trap "rm -rf '$staging'" EXIT
    "$build" "$tool" "$version" "$staging" >&2 || die "building $tool ${version#v} failed, see above"
    mkdir -p "$folder"
    mv "$staging/$tool" "$folder/$tool"
    say "built $folder/$tool"
  fi
  exec {lock}>&-
}

kubernetes_version() {
  awk '$1 == "k8s.io/kubernetes" { print $2 }' "$go_module/go.mod"
}

# A program of k8s.io/kubernetes, stamped as a release is.
build_kubernetes() {
  local tool=$1 version=$2 folder=$3 package flags=(-s -w) minor
  command -v go >/dev/null || die "$tool ${version#v} is built with Go, which is not here:" \
    "install Go 1.26 or newer, or point KUBEBUILDER_ASSETS to a folder that holds $tool"
  say "building $tool ${version#v} (about four minutes, once)..."
  minor=${version#v1.}
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=(-X "$package.gitVersion=$version" -X "$package.gitMajor=1"
      -X "$package.gitMinor=${minor%%.*}" -X "$package.gitTreeState=clean")
  done
  (cd "$go_module" && GOWORK=off CGO_ENABLED=0 \
    go build -trimpath -ldflags "${flags[*]}" -o "$folder/$tool" "k8s.io/kubernetes/cmd/$tool")
}

build_with_cargo() {
  local tool=$1 version=$2 folder=$3
  say "building $tool ${version#v} (about five minutes, once)..."
  cargo install --quiet --locked --root "$folder" --version "${version#v}" "$tool"
  mv "$folder/bin/$tool" "$folder/$tool"
}

main "$@"
