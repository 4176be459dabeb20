#!/usr/bin/env bash
# The tour of `make run`: starts the demo server and a real cluster (etcd and kube-apiserver),
# registers the cluster, and opens it with a minted kubeconfig. Prints each command with its answer.
# Then both keep running, and the tour prints commands to try.
#
# Environment variables, all optional:
#   ONCE=1            stop after the tour
#   CLUSTER=CONTEXT   use the cluster of this context of your kubeconfig, for example of kind, k3d or
#                     minikube; what the tour creates there is removed at the end
#   PORT=9443         the port, or 0 for a free one; by default 8443, or a free one if 8443 is taken
#   DATA=DIR          the data folder, by default ./data
#   PROFILE=release   the cargo profile, by default dev
#   PROGRAMS=DIR      the folder of the programs, which are not built then
#
# Without the programs of a real cluster, and without Go, which builds them, the tour shows the
# server alone. Exits with a code other than 0 if the answer of a step differs from the expected one.
set -euo pipefail
cd "$(dirname "$0")/.."

DATA=${DATA:-data}
readonly ready_deadline_secs=60

# The name of the real cluster in the server, and of the role that allows alice to use it.
readonly cluster=demo
readonly use_role=use-demo

# The name of the role in the real cluster.
readonly read_role=kubeconfig-demo

builds=()
kubectl=
has_tools=
server=
files=
has_files=
registered=
was_registered_before=
failures=0

main() {
  trap stop EXIT
  trap 'exit 130' INT TERM
  (umask 077 && mkdir -p "$DATA")
  DATA=$(cd "$DATA" && pwd)
  files=$DATA/tour
  # A separate cache, so that the discovery data of another server on this port is not used.
  export KUBECACHEDIR=$files/kubectl-cache
  build
  start
  if [[ -z $kubectl ]]; then
    note "The tour is left out without kubectl. The server listens at $(server_url)."
  elif start_cluster; then
    tour_cluster
  else
    tour_server
  fi
  if ((failures > 0)); then
    die "$failures of the steps did not answer as they should, see above; log: $DATA/server.log"
  fi
  [[ ${ONCE:-} == 1 ]] || stay
}

# Builds the server and the plugin and, in parallel, the tools that the machine does not have.
build() {
  local kubectl_build cluster_build folder=debug
  in_background kubectl hack/kubectl.sh
  kubectl_build=$!
  in_background cluster cluster_tools
  cluster_build=$!
  if [[ -z ${PROGRAMS:-} ]]; then
    note "Building the server (some minutes, the first time)..."
    cargo build --quiet --profile "${PROFILE:-dev}" --package kubeconfig-apiserver \
      --package kubectl-kubeconfig --package test-cluster --bins
    [[ ${PROFILE:-dev} == dev ]] || folder=$PROFILE
    PROGRAMS=${CARGO_TARGET_DIR:-target}/$folder
  fi
  PROGRAMS=$(cd "$PROGRAMS" && pwd)
  PATH=$PROGRAMS:$PATH
  if wait "$kubectl_build"; then
    kubectl=$(cat "$DATA/.kubectl")
    PATH=$(dirname "$kubectl"):$PATH
  else
    note "No kubectl: install kubectl 1.28 or newer, or Go, which builds it."
  fi
  ! wait "$cluster_build" || has_tools=1
  builds=()
  rm -f "$DATA/.kubectl" "$DATA/.cluster"
  export PATH
  umask 077
}

# in_background NAME COMMAND: runs a command in a process group of its own, with its output in a file.
# Without a group, Ctrl-C would not end it: bash ignores SIGINT in background processes.
in_background() {
  set -m
  "$2" >"$DATA/.$1" &
  set +m
  builds+=($!)
}

cluster_tools() {
  [[ -n ${CLUSTER:-} ]] || hack/tools.sh etcd kube-apiserver
}

start() {
  local port started=$SECONDS
  port=$(choose_port)
  # The server has its own process group, so that Ctrl-C reaches only this script, which then stops
  # the server gracefully.
  set -m
  kubeconfig-apiserver standalone \
    --data-dir "$DATA" --demo --secure-port "$port" </dev/null 2>"$DATA/server.log" &
  server=$!
  set +m
  until is_ready; do
    kill -0 "$server" 2>/dev/null || die_with_log "the server ended at its start"
    ((SECONDS < started + ready_deadline_secs)) ||
      die_with_log "the server was not ready after $ready_deadline_secs s"
    sleep 0.2
  done
  # The server is alone in the data folder, so these are the files of an earlier tour.
  rm -rf "$files"
  mkdir "$files"
  has_files=1
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
  grep -q ' serving ' "$DATA/server.log" || return 1
  [[ -z $kubectl ]] || kubectl --kubeconfig "$DATA/admin.kubeconfig" --request-timeout 2s \
    get --raw /readyz >/dev/null 2>&1
}

server_url() {
  sed -n 's/^ *"\{0,1\}server"\{0,1\}: "\{0,1\}\([^" ]*\).*/\1/p' "$DATA/admin.kubeconfig"
}

# Provides the real cluster: writes the kubeconfig of its administrator. Fails if there are no
# programs for it.
start_cluster() {
  if [[ -n ${CLUSTER:-} ]]; then
    use_context
  elif [[ -n $has_tools ]]; then
    note "Starting a real cluster (etcd and kube-apiserver, some seconds)..."
    start_own_cluster
  else
    note "No real cluster: the lines above say what is missing. With Go, or with KUBEBUILDER_ASSETS" \
      "as the folder of etcd and kube-apiserver, the tour opens one; so it does with" \
      "CLUSTER=CONTEXT, a context of your kubeconfig. It continues with the server alone."
    return 1
  fi
}

# The cluster ends when its standard input ends, even if this script is killed.
start_own_cluster() {
  local path
  set -m
  coproc own_cluster { exec test-cluster 2>"$files/cluster.log"; }
  set +m
  read -r path <&"${own_cluster[0]}" || {
    cat "$files/cluster.log" >&2
    die "the real cluster did not start, see above"
  }
  cp "$path" "$files/cluster.kubeconfig"
}

use_context() {
  kubectl config view --raw --minify --flatten --context "$CLUSTER" \
    >"$files/cluster.kubeconfig" ||
    die "CLUSTER=$CLUSTER is not a usable context; you have: $(kubectl config get-contexts -o name | paste -sd ' ')"
  at_cluster get --raw /readyz --request-timeout 10s >/dev/null ||
    die "the cluster of context $CLUSTER does not answer"
  ! at_cluster get namespace kubeconfig-apiserver >/dev/null 2>&1 || was_registered_before=1
}

at_cluster() { kubectl --kubeconfig "$files/cluster.kubeconfig" "$@"; }

at_server() { kubectl --kubeconfig "$DATA/admin.kubeconfig" "$@"; }

tour_cluster() {
  local mine=$files/my.kubeconfig theirs=$files/cluster.kubeconfig
  remove_roles
  registered=1
  note "You are the administrator of the server, and of a real cluster. You register the cluster:"
  become admin
  show "cluster $cluster is Ready" "kubeconfig-apiserver cluster add $cluster --from $theirs"

  note "alice may have kubeconfigs for it:"
  show "created" "kubectl create clusterrole $use_role --verb=get" \
    "--resource=clusters.management.cattle.io --resource-name=$cluster"
  show "created" "kubectl create clusterrolebinding $use_role --clusterrole=$use_role --user=alice"

  note "In the cluster, its own RBAC applies to her:"
  show "created" "kubectl --kubeconfig $theirs" \
    "create clusterrole $read_role --verb=get,list --resource=namespaces"
  show "created" "kubectl --kubeconfig $theirs" \
    "create clusterrolebinding $read_role --clusterrole=$read_role --user=alice"

  note "You are alice. You create a kubeconfig. Its content is in this one answer and nowhere else:"
  become alice
  mint "$mine" "clusters: [$cluster], description: My laptop, ttl: 7200"

  note "It opens the real cluster, through the server:"
  show "NAME +STATUS +AGE.* default +Active" "kubectl --kubeconfig $mine get namespaces"

  note "alice has no other right in the cluster:"
  refuse 'Forbidden.*User "alice" cannot list resource "secrets"' \
    "kubectl --kubeconfig $mine get secrets"
  revoke "$mine" "get namespaces"
}

tour_server() {
  local mine=$files/my.kubeconfig
  note "You are alice. You create a kubeconfig. Its content is in this one answer and nowhere else:"
  become alice
  mint "$mine" "description: My laptop, ttl: 7200"

  note "It opens the server itself, as alice:"
  show "Username +alice" "kubectl --kubeconfig $mine auth whoami"
  revoke "$mine" "auth whoami"
}

# become USER: uses the kubeconfig of a user of the server from here on.
become() {
  export KUBECONFIG=$DATA/$1.kubeconfig
  printf '$ export KUBECONFIG=%s\n' "$KUBECONFIG"
}

# mint FILE SPEC: creates a kubeconfig.
mint() {
  printf '$ umask 077\n'
  show "^ $" "kubectl create -o jsonpath='{.status.value}' -f - > $1 <<END
apiVersion: ext.cattle.io/v1
kind: Kubeconfig
metadata: {labels: {tour: \"yes\"}}
spec: {$2}
END"
}

# revoke FILE COMMAND: deletes the record of a file. The same command fails then.
revoke() {
  note "The server keeps a record of it:"
  show "USER +CLUSTERS +DESCRIPTION.*alice.*My laptop" "kubectl get kubeconfig -l tour=yes -o wide"

  note "Deleting the record ends the file at once:"
  show "deleted" "kubectl delete kubeconfig -l tour=yes"
  refuse "Unauthorized|asked for the client to provide credentials" "kubectl --kubeconfig $1 $2"
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
  trap 'exit 0' INT TERM
  note "The server stays up at $(server_url)${registered:+, with the cluster $cluster}." \
    "Its log is $DATA/server.log. Ctrl-C ends everything."
  [[ -z $kubectl ]] || commands_to_try
  wait "$server" || die_with_log "the server ended"
}

commands_to_try() {
  local spec='{}' open="auth whoami" create="--all-clusters"
  if [[ -n $registered ]]; then
    spec="{\"clusters\": [\"$cluster\"]}" open="get namespaces" create="--cluster=$cluster"
  fi
  note "In another terminal:"
  cat <<END
  export PATH=$PROGRAMS:$(dirname "$kubectl"):\$PATH KUBECONFIG=$DATA/alice.kubeconfig
  cd $files; umask 077
  kubectl create -o jsonpath='{.status.value}' -f - <<< '{"apiVersion": "ext.cattle.io/v1", "kind": "Kubeconfig", "spec": $spec}' > my.kubeconfig
  kubectl --kubeconfig my.kubeconfig $open
  kubectl get kubeconfig -o wide
  kubectl explain kubeconfigs.ext.cattle.io.spec
  kubectl kubeconfig login --from-context          # the plugin, with the credential of alice
  kubectl kubeconfig create $create --generate-token=false --file=plugin.kubeconfig
  kubectl --kubeconfig plugin.kubeconfig $open     # without a token in the file
  kubectl kubeconfig logout --server=$(server_url)
  kubectl --kubeconfig $DATA/bob.kubeconfig get kubeconfig      # bob sees his own
  kubectl --kubeconfig $DATA/admin.kubeconfig get kubeconfig    # an administrator sees all
  kubectl delete kubeconfig --all
END
}

stop() {
  local build
  # A failure here must not keep the rest from being ended.
  set +e
  for build in ${builds[@]+"${builds[@]}"}; do
    kill -TERM -- "-$build" 2>/dev/null
  done
  [[ -z $registered ]] || unregister
  if [[ -n $server ]] && kill -TERM "$server" 2>/dev/null; then
    wait "$server"
  fi
  [[ -z ${own_cluster_PID:-} ]] || end_own_cluster
  rm -f "$DATA/.kubectl" "$DATA/.cluster"
  [[ -z $has_files ]] || rm -rf "$files"
}

end_own_cluster() {
  local process=$own_cluster_PID stdin=${own_cluster[1]}
  exec {stdin}>&-
  wait "$process"
}

# Removes what the tour made in the server, and in a cluster of the user.
unregister() {
  remove_roles
  if [[ -z ${CLUSTER:-} ]]; then
    kubeconfig-apiserver cluster remove "$cluster" --keep-downstream \
      --kubeconfig "$DATA/admin.kubeconfig" 2>/dev/null
    return
  fi
  note "Removing what the tour made in the cluster of context $CLUSTER:"
  if [[ -n $was_registered_before ]]; then
    note "Namespace kubeconfig-apiserver stays: it was there before."
    set -- --keep-downstream
  else
    set -- --from "$files/cluster.kubeconfig"
  fi
  kubeconfig-apiserver cluster remove "$cluster" "$@" --kubeconfig "$DATA/admin.kubeconfig" 2>&1
}

remove_roles() {
  at_server delete clusterrole,clusterrolebinding "$use_role" --ignore-not-found >/dev/null
  if [[ -n ${CLUSTER:-} ]]; then
    at_cluster delete clusterrole,clusterrolebinding "$read_role" --ignore-not-found >/dev/null
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
