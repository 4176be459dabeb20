# The commands for daily development. `make` without arguments describes them.

.DEFAULT_GOAL := help
.PHONY: help run build test lint histories bench tools clean

help:
	@echo 'kubeconfig-apiserver: an API server that issues kubeconfigs. Only Rust and Go are required.'
	@echo
	@echo '  make run          build, start a demo on 127.0.0.1:8443 and a real cluster (etcd and kube-apiserver, which'
	@echo '                      the first run builds), open it with a minted kubeconfig, keep both running'
	@echo '                      ONCE=1     stop after the tour, with an exit code other than 0 if a step failed'
	@echo '                      CLUSTER=CONTEXT  use your own cluster instead: a context of your kubeconfig, for'
	@echo '                                       example of kind, k3d or minikube'
	@echo '                      PORT=9443  use another port; 0 for a free one'
	@echo '                      DATA=DIR   use another data folder than ./data'
	@echo '  make build        build the release programs in target/release: the server kubeconfig-apiserver and the kubectl'
	@echo '                      plugin kubectl-kubeconfig, which users put into a folder of their PATH'
	@echo '  make test         run every test, with a real kubectl and real clusters; the first run also builds'
	@echo '                      kubectl, etcd, kube-apiserver and helm, which takes about ten minutes'
	@echo '  make lint         check format, spelling, clippy, documentation, scripts, dependencies, manifests'
	@echo '  make histories    run clients against each store while the server is killed, and check that their'
	@echo '                      histories are linearizable; make test does the same for a minute'
	@echo '                      MINUTES=60  minutes for each store'
	@echo '                      STORE=etcd  only one of sqlite, etcd, secrets'
	@echo '  make bench        measure speed and memory, each next to its limit in the same run; six minutes. Includes'
	@echo '                      HAProxy and kubectl for comparison if they are installed, and an aggregated server'
	@echo '                      with etcd and kube-apiserver, which the first run builds'
	@echo '                      BENCH="--seconds 2 --gate"   flags of the bench'
	@echo '                      BENCH="--only attacks"       measure honest users during attacks on the server, and'
	@echo '                                                   during the same attacks on a kube-apiserver; ten minutes'
	@echo '  make tools        build what test and lint need, outside the tree'
	@echo '  make clean        remove target/, but not ./data and the tools'
	@echo
	@echo 'To test one crate: cargo test -p CRATE. The structure of the code: ARCHITECTURE.md.'

run:
	@ONCE='$(ONCE)' CLUSTER='$(CLUSTER)' PORT='$(PORT)' DATA='$(DATA)' hack/demo.sh

build:
	cargo build --release

test:
	@hack/test.sh

lint:
	@hack/lint.sh

histories:
	@hack/histories.sh '$(or $(MINUTES),60)' $(STORE)

bench:
	cargo build --profile dist --package kubeconfig-apiserver --package bench
	@hack/tools.sh etcd kube-apiserver >/dev/null || echo 'bench: continuing without them'
	@"$${CARGO_TARGET_DIR:-target}/dist/bench" --kubectl "$$(hack/kubectl.sh)" $(BENCH)

tools:
	@hack/tools.sh kubectl etcd kube-apiserver kube-controller-manager helm client-go oidc-provider cargo-deny cargo-mutants typos

clean:
	cargo clean
