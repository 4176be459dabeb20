#!/usr/bin/env bash
# Checks format, words, spelling, lints, documentation, scripts, dependencies and manifests. Stops
# at the first failure.
#
#   hack/lint.sh             # all checks
#   hack/lint.sh fmt deny    # some of: fmt words spelling clippy docs scripts deny manifests
#
# If a tool is missing, its name is printed and its check is skipped. With CI=true that is a
# failure.
set -euo pipefail
cd "$(dirname "$0")/.."

main() {
  (($# > 0)) || set -- fmt words spelling clippy docs scripts deny manifests
  local check
  for check in "$@"; do
    printf 'lint: %s\n' "$check" >&2
    "check_$check"
  done
}

check_fmt() { cargo fmt --all --check; }

# The words of hack/words.txt: in comments, in string literals outside of tests, and in documents. A
# doc comment is a statement, so it does not open with a question word; texts of `--help` may.
check_words() {
  local words found
  words=$(grep -v '^#' hack/words.txt | paste -sd '|')
  # awk expands its own fields.
  # shellcheck disable=SC2016
  found=$(
    git grep -nEi "^[[:space:]]*//.*\\b($words)\\b" -- '*.rs' || true
    git grep -nEi "\"[^\"]*\\b($words)\\b[^\"]*\"" -- 'crates/*/src/*.rs' ':!*tests*' ':!crates/storage/src/conformance*' |
      grep -vE '^[^:]+:[0-9]+: *(//|assert|#\[)' | grep -vFf hack/words-allowed.txt || true
    git grep -nEi "\\b($words)\\b" -- '*.md' 'hack/*.sh' Makefile | grep -vFf hack/words-allowed.txt || true
    git ls-files -z '*.rs' ':!*/args*' ':!*/samples.rs' | xargs -0 awk '
      FNR == 1 { within = 0 }
      /^[ \t]*\/\/[\/!]/ {
        if (!within && /\/\/[\/!] (What|Who|Whom|Whose|How|Where|When|Why|Which) /) print FILENAME ":" FNR ":" $0
        within = 1
        next
      }
      { within = 0 }'
  )
  [[ -z $found ]] && return
  printf 'lint: these comments and texts use words of hack/words.txt, or open with a question word:\n%s\n' "$found" >&2
  return 1
}

# The exceptions are in _typos.toml.
check_spelling() {
  local typos
  typos=$(command -v typos) || typos=$(cached typos) ||
    { missing "typos (hack/tools.sh typos builds it)"; return; }
  "$typos" --format brief
}

check_clippy() { cargo clippy --quiet --workspace --all-targets -- -D warnings; }

check_docs() {
  RUSTDOCFLAGS='-D warnings' cargo doc --quiet --workspace --no-deps --document-private-items
}

check_scripts() {
  command -v shellcheck >/dev/null || { missing "shellcheck (a package of most systems)"; return; }
  shellcheck hack/*.sh .ci/run
}

# Advisories are not checked: the check must work without the advisory database, and a new advisory
# must not break an old commit.
check_deny() {
  local deny
  deny=$(command -v cargo-deny) || deny=$(cached cargo-deny) ||
    { missing "cargo-deny (hack/tools.sh cargo-deny builds it)"; return; }
  "$deny" --log-level error check bans licenses sources
}

# Checks the chart, and the plain manifests that are rendered from it.
check_manifests() {
  local helm
  helm=$(cached helm) || { missing "helm (hack/tools.sh helm builds it)"; return; }
  "$helm" lint --quiet --strict charts/kubeconfig-apiserver
  hack/verify-manifests.sh
}

# Prints the path of a tool if hack/tools.sh has built it already. In CI, builds the tool if
# necessary.
cached() {
  local cache=${XDG_CACHE_HOME:-$HOME/.cache}/kubeconfig-apiserver/tools
  [[ ${CI:-} == true ]] || [[ -x ${KUBEBUILDER_ASSETS:-}/$1 ]] ||
    compgen -G "$cache/$1-*/$1" >/dev/null || return 1
  hack/tools.sh "$1"
}

missing() {
  printf 'lint: left out, not here: %s\n' "$1" >&2
  [[ ${CI:-} != true ]]
}

main "$@"
