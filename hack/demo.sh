#!/usr/bin/env bash
# The tour of `make run`: builds and starts the demo server, and demonstrates it with kubectl.
# Prints each command with its answer. Then the server keeps running, and the tour prints commands
# to try.
#
# Environment variables, all optional:
#   ONCE=1            stop after the tour
#   PORT=9443         the port, or 0 for a free one; by default 8443, or a free one if 8443 is taken
#   DATA=DIR          the data folder, by default ./data
#   PROFILE=release   the cargo profile, by default dev
#
# Exits with a code other than 0 if the answer of a step differs from the expected one.
set -euo pipefail
cd "$(dirname "$0")/.."

DATA=${DATA:-data}
readonly ready_deadline_secs=60
server=
minted=
failures=0

main() {
  trap stop EXIT
  trap 'exit 130' INT TERM
  (umask 077 && mkdir -p "$DATA")
  DATA=$(cd "$DATA" && pwd)
  build
  start
  tour
  if ((failures > 0)); then
    die "$failures of the steps did not answer as they should, see above; log: $DATA/server.log"
  fi
  [[ ${ONCE:-} == 1 ]] || stay
}

# Builds the server and, in parallel, kubectl, if the machine has no suitable one.
build() {
  local path build
  path=$(mktemp "$DATA/.kubectl.XXXXXX")
  hack/kubectl.sh >"$path" &
  build=$!
  note "Building the server (some minutes, the first time)..."
  cargo build --quiet --package kubeconfig-apiserver --profile "${PROFILE:-dev}"
  wait "$build" || { rm -f "$path"; exit 1; }
  kubectl=$(cat "$path")
  rm -f "$path"
  PATH=$(dirname "$kubectl"):$PATH
  # A separate cache, so that the discovery data of another server on this port is not used.
  export PATH KUBECACHEDIR=$DATA/kubectl-cache
}

start() {
  local folder=${PROFILE:-debug} port started=$SECONDS
  [[ $folder != dev ]] || folder=debug
  port=$(choose_port)
  # The server has its own process group, so that Ctrl-C reaches only this script, which then stops
  # the server gracefully.
  set -m
  "${CARGO_TARGET_DIR:-target}/$folder/kubeconfig-apiserver" standalone \
    --data-dir "$DATA" --demo --secure-port "$port" </dev/null 2>"$DATA/server.log" &
  server=$!
  set +m
  until is_ready; do
    kill -0 "$server" 2>/dev/null || die_with_log "the server ended at its start"
    ((SECONDS < started + ready_deadline_secs)) ||
      die_with_log "the server was not ready after $ready_deadline_secs s"
    sleep 0.2
  done
}

# Prints the port to use. A port from the environment is not checked, because the server reports
# clearly if it is taken.
choose_port() {
  if [[ -z ${PORT:-} ]] && (exec 3<>/dev/tcp/127.0.0.1/8443) 2>/dev/null; then
    note "Port 8443 is taken, taking a free one." >&2
    PORT=0
  fi
  printf '%s\n' "${PORT:-8443}"
}

# Waits for the log line that follows the writes of the kubeconfigs, because those of an earlier run
# may contain another address.
is_ready() {
  grep -q ' serving ' "$DATA/server.log" &&
    kubectl --kubeconfig "$DATA/admin.kubeconfig" --request-timeout 2s get --raw /readyz \
      >/dev/null 2>&1
}

tour() {
  minted=$(mktemp "${TMPDIR:-/tmp}/minted.XXXXXX")
  chmod 0600 "$minted"
  export KUBECONFIG=$DATA/alice.kubeconfig
  note "You are alice:"
  printf '$ export KUBECONFIG=%s\n' "$KUBECONFIG"
  show "alice" "kubectl auth whoami"

  note "These clusters are hers to use:"
  show "c-m-p66cdvlj" "kubectl get clusters.management.cattle.io" \
    "-o=jsonpath=\"{.items[*]['metadata.name', 'spec.displayName']}{'\\n'}\""

  note "A kubeconfig for two of them. Its content is in this one answer and nowhere else:"
  show "" "kubectl create -o jsonpath='{.status.value}' -f - > $minted <<END
apiVersion: ext.cattle.io/v1
kind: Kubeconfig
metadata: {labels: {tour: \"yes\"}}
spec: {clusters: [c-m-p66cdvlj, c-m-fcd3g5h], description: My Kubeconfig}
END"
  show "rancher" "kubectl --kubeconfig $minted config get-contexts -o name"

  note "The record stays:"
  show "NAME +TTL +TOKENS +STATUS +AGE.*Complete" "kubectl get kubeconfig"
  show "USER +CLUSTERS +DESCRIPTION.*alice.*My Kubeconfig" "kubectl get kubeconfig -o wide"

  note "The file works, as its owner:"
  show "kubeconfig-.*Complete" "kubectl --kubeconfig $minted --context rancher get kubeconfigs"
  show "Description: +My Kubeconfig" "kubectl describe kubeconfig -l tour=yes"

  note "Deleting the record ends its tokens, here those of a whole selection:"
  show '"kind": *"KubeconfigList"' \
    "kubectl delete --raw '/apis/ext.cattle.io/v1/kubeconfigs?labelSelector=tour%3Dyes' | cut -c 1-130"
  refuse "Unauthorized|asked for the client to provide credentials" \
    "kubectl --kubeconfig $minted --context rancher get kubeconfigs"
}

# show EXPECTED COMMAND...: prints the command and its answer. The command must succeed, and its
# answer, with line ends replaced by spaces, must match the extended regular expression.
show() { step 0 "$@"; }

# Like show, but the command must fail.
refuse() { step 1 "$@"; }

step() {
  local code=$1 expected=$2 command="${*:3}" answer got=0
  printf '$ %s\n' "$command"
  answer=$(bash -c "$command" 2>&1) || got=$?
  [[ -z $answer ]] || printf '%s\n' "$answer"
  if ((got != code)) || ! tr '\n' ' ' <<<"$answer" | grep -Eq -- "$expected"; then
    failures=$((failures + 1))
    printf 'demo: NOT AS IT SHOULD BE: exit code %d, expected %d and /%s/\n' \
      "$got" "$code" "$expected" >&2
  fi
}

stay() {
  local url
  trap 'exit 0' INT TERM
  url=$(kubectl config view -o jsonpath='{.clusters[0].cluster.server}')
  note "The server stays up at $url, its log is $DATA/server.log; Ctrl-C ends it." \
    "In another terminal:"
  type_path
  cat <<END
  export KUBECONFIG=$DATA/alice.kubeconfig
  kubectl create -o jsonpath='{.status.value}' -f - <<< '{"apiVersion": "ext.cattle.io/v1", "kind": "Kubeconfig"}' > my.kubeconfig
  kubectl get kubeconfig -o wide
  kubectl --kubeconfig my.kubeconfig auth whoami
  kubectl explain kubeconfigs.ext.cattle.io.spec
  kubectl delete kubeconfig --all
  kubectl --kubeconfig $DATA/bob.kubeconfig get kubeconfig      # bob sees his own
  kubectl --kubeconfig $DATA/admin.kubeconfig get kubeconfig    # an administrator sees all
END
  wait "$server" || die_with_log "the server ended"
}

# Prints the line that adds the pinned kubectl to the path, if the machine has no suitable one.
type_path() {
  [[ $kubectl == */kubeconfig-apiserver/tools/* ]] || return 0
  cat <<END
  export PATH=$(dirname "$kubectl"):\$PATH
END
}

stop() {
  [[ -z $minted ]] || rm -f "$minted"
  if [[ -n $server ]] && kill -TERM "$server" 2>/dev/null; then
    wait "$server" || true
  fi
}

note() { printf '\n# %s\n' "$*"; }

die() {
  printf '\ndemo: %s\n' "$*" >&2
  exit 1
}

die_with_log() {
  tail -n 20 "$DATA/server.log" >&2
  die "$1; above is the end of $DATA/server.log. PORT=0 takes a free port, DATA=DIR another folder"
}

main
