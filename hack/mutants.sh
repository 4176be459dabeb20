#!/usr/bin/env bash
# Changes the code in one place at a time (cargo-mutants), and runs the tests of its crate for each
# change. A mutant that no test notices survives. It is a failure if a survivor is not listed in
# tests/mutants.txt.
#
#   hack/mutants.sh                   # all modules: many hours
#   hack/mutants.sh kubeconfigs auth  # some modules
#   hack/mutants.sh diff              # the lines that differ from the parent commit
#   hack/mutants.sh diff main         # the lines that the branch has changed since main
#
# `diff` stops after ten minutes, and reports the mutants that it has run until then. It skips a
# large change, and a commit without a parent. The results are in target/mutants.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly modules=(apiserver::filters apiserver::write auth gateway::access gateway::answer_headers
  gateway::edge gateway::forward gateway::request_headers kubeconfigs management::cluster
  signing tokens)
readonly accepted=tests/mutants.txt results=$PWD/target/mutants

# The limits of `diff`: the time, with the build of the tool, and the number of mutants.
readonly diff_secs=600 diff_mutants=60

# A test that takes long on a busy machine is not a timeout.
readonly options=(--no-times --colors=never --minimum-test-timeout=120
  --exclude='crates/*/src/testing.rs' --exclude='crates/*/src/testing/**')

main() {
  mkdir -p "$results"
  case ${1:-} in
    diff) run_diff "${2:-HEAD^}" ;;
    '') run_modules "${modules[@]}" ;;
    *) run_modules "$@" ;;
  esac
}

run_modules() {
  local module failed=0
  tool=$(hack/tools.sh cargo-mutants)
  share_dependencies
  for module in "$@"; do
    scope=()
    add_to_scope "$module"
    mutate "$module"
    report "$module" || failed=1
  done
  return "$failed"
}

run_diff() {
  local base=$1 module count
  git rev-parse --quiet --verify "$base^{commit}" >/dev/null ||
    { say "there is no commit $base to compare with"; return; }
  git diff --merge-base "$base" -- 'crates/*.rs' >"$results/change.diff"
  [[ -s $results/change.diff ]] || { say "no code has changed"; return; }
  tool=$(within_limit hack/tools.sh cargo-mutants) || { say "the tool is not built in time"; return; }
  scope=(--in-diff="$results/change.diff")
  for module in "${modules[@]}"; do add_to_scope "$module"; done
  count=$("$tool" mutants "${options[@]}" "${scope[@]}" --list | wc -l)
  ((count > 0)) || { say "the changed lines have no mutants"; return; }
  ((count <= diff_mutants)) ||
    { say "$count mutants are too many: run hack/mutants.sh MODULE"; return; }
  if [[ ${CI:-} == true ]]; then
    scope+=(--in-place) # The working tree is a copy already, and is built.
  else
    share_dependencies
  fi
  tool_prefix=(within_limit)
  mutate diff --shuffle
  report diff
}

# cargo-mutants works in a copy of the tree. All copies use the same build of the dependencies.
share_dependencies() { export CARGO_TARGET_DIR=$results/build; }

# Adds the files of a module to the scope.
add_to_scope() {
  local crate=${1%%::*} path
  path=crates/$crate/src
  [[ $1 != *::* ]] || path+=/${1#*::}
  [[ -d $path || -f $path.rs ]] || die "there is no module $1"
  scope+=("--package=$crate" "--file=$path.rs" "--file=$path/**")
}

# Runs the mutants of the scope, and keeps their results under a name.
mutate() {
  local code=0
  rm -rf "${results:?}/$1"
  "${tool_prefix[@]}" "$tool" mutants "${options[@]}" "${scope[@]}" "${@:2}" \
    --output="$results/$1" >&2 || code=$?
  case $code in
    0 | 2 | 3) ;; # Survivors (2) and timeouts (3) are in the report.
    124) say "the time is over: the remaining mutants are left out" ;;
    *) die "cargo-mutants failed with code $code" ;;
  esac
}

# Runs a command in the rest of the time. cargo-mutants restores the code when it is interrupted.
within_limit() {
  local left=$((diff_secs - SECONDS))
  timeout --signal=INT --kill-after=30 "$((left > 0 ? left : 1))" "$@"
}

# Prints the survivors that are not accepted, and the numbers of a run. Fails if there are any.
report() {
  local out=$results/$1/mutants.out survivor unexplained=0 caught timeouts unviable missed
  while IFS= read -r survivor; do
    is_accepted "$survivor" && continue
    unexplained=$((unexplained + 1))
    printf 'survived: %s\n' "$survivor"
  done <"$out/missed.txt"
  caught=$(wc -l <"$out/caught.txt") timeouts=$(wc -l <"$out/timeout.txt")
  unviable=$(wc -l <"$out/unviable.txt") missed=$(wc -l <"$out/missed.txt")
  printf '%s %s %s: %d of %d mutants run: %d caught, %d timeouts, %d unviable, %d accepted, %d unexplained\n' \
    "$(date -u +%F)" "$(git rev-parse --short HEAD)" "$1" \
    "$((caught + timeouts + unviable + missed))" "$(grep -c '"replacement":' "$out/mutants.json")" \
    "$caught" "$timeouts" "$unviable" "$((missed - unexplained))" "$unexplained"
  ((unexplained == 0))
}

# Returns whether a survivor is in the list. Line numbers are not compared.
is_accepted() {
  local mutant
  mutant=$(sed -E 's/^([^:]+):[0-9]+:[0-9]+: /\1: /' <<<"$1")
  grep --quiet --fixed-strings --line-regexp -- "$mutant" < <(sed -n 's/  # .*//p' "$accepted")
}

say() { printf 'mutants: %s\n' "$*" >&2; }

die() {
  say "$*"
  exit 1
}

tool_prefix=()
main "$@"
