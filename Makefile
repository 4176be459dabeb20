# The commands for daily development. `make` without arguments describes them.

.DEFAULT_GOAL := help
.PHONY: help run build test lint histories bench tools clean

help:
	@echo 'kubeconfig-apiserver: an API server that gives out kubeconfigs. Needs Rust and Go, nothing else.'
	@echo
	@echo '  make run          build, start a demo on 127.0.0.1:8443, tour it with kubectl, stay up'
	@echo '                      ONCE=1     end after the tour; not 0 if a step did not answer as it should'
	@echo '                      PORT=9443  another port; 0 takes a free one'
	@echo '                      DATA=DIR   another data folder than ./data'
	@echo '  make build        the release programs, in target/release: the server, kubeconfig-apiserver, and the plugin'
	@echo '                      for users of kubectl, kubectl-kubeconfig, for a folder of their PATH'
	@echo '  make test         every test, with a real kubectl and real clusters; the first run builds'
	@echo '                      kubectl, etcd, kube-apiserver and helm, some ten minutes beside the Rust build'
	@echo '  make lint         format, clippy, documentation, scripts, dependencies, manifests'
	@echo '  make histories    clients against each store while the server is killed, and a check that what they'
	@echo '                    saw is linearizable; make test does so for a minute'
	@echo '                      MINUTES=60  minutes for each store'
	@echo '                      STORE=etcd  only this one of sqlite, etcd, secrets'
	@echo '  make bench        speed and memory, each beside its limit measured in the same run; six minutes;'
	@echo '                      HAProxy and kubectl, where they are here, beside the gateway; etcd and'
	@echo '                      kube-apiserver, which the first run builds, around an aggregated server'
	@echo '                      BENCH="--seconds 2 --gate"   flags of the bench'
	@echo '                      BENCH="--only attacks"       honest users beside attacks on the server, and beside'
	@echo '                                                   the same attacks on a kube-apiserver; ten minutes'
	@echo '  make tools        build now what test and lint need, outside the tree'
	@echo '  make clean        remove target/; ./data and the tools stay'
	@echo
	@echo 'While you work on one crate: cargo test -p CRATE. Where things are: ARCHITECTURE.md.'

run:
	@ONCE='$(ONCE)' PORT='$(PORT)' DATA='$(DATA)' hack/demo.sh

build:
	cargo build --release --workspace --bins

test:
	@hack/test.sh

lint:
	@hack/lint.sh

histories:
	@hack/histories.sh '$(or $(MINUTES),60)' $(STORE)

bench:
	cargo build --release --package kubeconfig-apiserver --package bench
	@hack/tools.sh etcd kube-apiserver >/dev/null || echo 'bench: goes on without them'
	@"$${CARGO_TARGET_DIR:-target}/release/bench" --kubectl "$$(hack/kubectl.sh)" $(BENCH)

tools:
	@hack/tools.sh kubectl etcd kube-apiserver kube-controller-manager helm client-go oidc-provider cargo-deny

clean:
	cargo clean
