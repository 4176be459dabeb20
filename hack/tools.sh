#!/usr/bin/env bash
# Builds pinned tools in a cache folder outside the repository, each once, and prints their paths.
#
#   hack/tools.sh kubectl        # the path of kubectl on stdout, progress on stderr
#   hack/tools.sh kubectl etcd   # one path per line
#
# Go tools are pinned by the go.mod and go.sum of hack/tools and of its subfolders. Cargo tools are
# pinned below. client-go and oidc-provider are programs of the tests, with their source in
# hack/tools. A tool in $KUBEBUILDER_ASSETS takes precedence over the pinned one. $XDG_CACHE_HOME
# moves the cache. Go builds run at a low priority, so that they do not slow down a concurrent Rust
# build.
set -euo pipefail

go_modules=$(cd "$(dirname "$0")/tools" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kubeconfig-apiserver/tools
readonly go_modules cache

# The versions of the Cargo tools.
readonly cargo_deny_version=0.20.2 cargo_mutants_version=27.1.0 typos_version=1.52.0

readonly known="kubectl, kube-apiserver, kube-controller-manager, etcd, helm, client-go, oidc-provider, cargo-deny, cargo-mutants, typos"

say() { printf 'tools: %s\n' "$*" >&2; }

die() {
  say "$*"
  exit 1
}

main() {
  (($# > 0)) || die "usage: hack/tools.sh TOOL... (known: $known)"
  local tool
  asked=$*
  for tool in "$@"; do
    case $tool in
      kubectl | kube-apiserver | kube-controller-manager)
        provide "$tool" "$(go_version . k8s.io/kubernetes)" build_kubernetes ;;
      etcd) provide "$tool" "$(go_version etcd go.etcd.io/etcd/server/v3)" build_etcd ;;
      helm) provide "$tool" "$(go_version helm helm.sh/helm/v4)" build_helm ;;
      client-go) provide "$tool" "$(program_version "$tool" k8s.io/client-go)" build_program ;;
      oidc-provider)
        provide "$tool" "$(program_version "$tool" github.com/zitadel/oidc/v3)" build_program ;;
      cargo-deny) provide "$tool" "v$cargo_deny_version" build_with_cargo ;;
      cargo-mutants) provide "$tool" "v$cargo_mutants_version" build_with_cargo ;;
      typos) provide "$tool" "v$typos_version" build_with_cargo ;;
      *) die "unknown tool $tool (known: $known)" ;;
    esac
  done
}

# Prints the path of a tool. Builds it first if it is not in the cache.
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

# Builds in a temporary folder and renames the result, so that no run sees an incomplete tool. The
# lock only saves work: without flock, two runs build the same tool, and the later rename replaces
# the earlier result.
build_locked() {
  local tool=$1 version=$2 build=$3 folder=$4 staging
  mkdir -p "$cache"
  exec {lock}>"$cache/$tool.lock"
  if command -v flock >/dev/null; then
    flock -n "$lock" || { say "waiting for another build of $tool"; flock "$lock"; }
  fi
  if [[ ! -x $folder/$tool ]]; then
    staging=$(mktemp -d "$cache/.$tool.XXXXXX")
    # shellcheck disable=SC2064 # expand now: the folder of this tool, not of a later one
    trap "rm -rf '$staging'" EXIT
    "$build" "$tool" "$version" "$staging" >&2 || die "building $tool ${version#v} failed, see above"
    mkdir -p "$folder"
    mv "$staging/$tool" "$folder/$tool"
    say "built $folder/$tool"
  fi
  exec {lock}>&-
}

# Prints the version of a Go module that is required by the module in a folder of hack/tools.
go_version() {
  awk -v module="$2" '$1 == "require" { $1 = ""; $0 = $0 } $1 == module { print $2; exit }' \
    "$go_modules/$1/go.mod"
}

# Builds a program of k8s.io/kubernetes, with the version stamps of a release.
build_kubernetes() {
  local tool=$1 version=$2 folder=$3 package stamps=() minor
  minor=${version#v1.}
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    stamps+=(-X "$package.gitVersion=$version" -X "$package.gitMajor=1"
      -X "$package.gitMinor=${minor%%.*}" -X "$package.gitTreeState=clean")
  done
  build_with_go "$tool" "$version" "$folder" . "k8s.io/kubernetes/cmd/$tool" "${stamps[@]}"
}

# Builds etcd. It needs no version stamp, because its version is a constant in its source.
build_etcd() {
  build_with_go "$1" "$2" "$3" etcd go.etcd.io/etcd/server/v3
}

build_helm() {
  build_with_go "$1" "$2" "$3" helm helm.sh/helm/v4/cmd/helm \
    -X "helm.sh/helm/v4/internal/version.version=$2" \
    -X helm.sh/helm/v4/internal/version.gitTreeState=clean
}

# Prints the version of a program of the tests: the version of its library and a checksum of its
# source.
program_version() {
  local source
  source=$(cat "$go_modules/$1"/{main.go,go.mod,go.sum} | cksum)
  printf '%s-%s\n' "$(go_version "$1" "$2")" "${source%% *}"
}

build_program() {
  build_with_go "$1" "$2" "$3" "$1" .
}

# Builds a package with the versions that the module in a folder of hack/tools pins. Strips the
# program and passes the additional linker flags.
build_with_go() {
  local tool=$1 version=$2 folder=$3 module=$4 package=$5
  command -v go >/dev/null || die "missing $tool ${version#v}: install Go 1.26 or newer, which" \
    "builds it, or point KUBEBUILDER_ASSETS to a folder that holds ${asked// /, }"
  say "building $tool ${version#v} ($(duration "$tool"), once)..."
  (cd "$go_modules/$module" && GOWORK=off CGO_ENABLED=0 nice -n 10 \
    go build -trimpath -ldflags "-s -w ${*:6}" -o "$folder/$tool" "$package")
}

# Prints the time of a build on two cores, including downloads.
duration() {
  case $1 in
    etcd) printf 'about 2 minutes' ;;
    kube-apiserver) printf 'about 5 minutes' ;;
    *) printf 'some minutes' ;;
  esac
}

build_with_cargo() {
  local tool=$1 version=$2 folder=$3 package=$1
  [[ $tool != typos ]] || package=typos-cli
  say "building $tool ${version#v} (about five minutes, once)..."
  cargo install --quiet --locked --root "$folder" --version "${version#v}" "$package"
  mv "$folder/bin/$tool" "$folder/$tool"
}

main "$@"
