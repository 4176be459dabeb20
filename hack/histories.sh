#!/usr/bin/env bash
# Runs clients against each store for some minutes while the server is killed repeatedly, and checks
# that the history of their requests is linearizable.
#
#   hack/histories.sh 60          # one hour for each store, one after the other
#   hack/histories.sh 60 etcd     # only this one of sqlite, etcd, secrets
#
# HISTORIES_SEED is the seed for the requests of the clients. A history that is not linearizable is
# written to target/tmp/. Its path and the conflicting calls are printed. `make test` runs the same
# for twenty seconds for each store.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly stores=${2:-sqlite etcd secrets}
export HISTORIES_MINUTES=${1:-60}

for store in $stores; do
  cargo test --package e2e --test all "histories::$store" -- --exact --nocapture
done
