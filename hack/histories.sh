#!/usr/bin/env bash
# Runs clients against each store for some minutes, while the server is killed, and checks that what they saw is linearizable.
#
#   hack/histories.sh 60          # an hour of each store, one after the other
#   hack/histories.sh 60 etcd     # one of sqlite, etcd, secrets
#
# HISTORIES_SEED chooses what the clients ask for. A history that is not linearizable is written to target/tmp/; its path
# and the calls that contradict each other are printed. `make test` runs the same for twenty seconds each.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly stores=${2:-sqlite etcd secrets}
export HISTORIES_MINUTES=${1:-60}

for store in $stores; do
  cargo test --package e2e --test all "histories::$store" -- --exact --nocapture
done
