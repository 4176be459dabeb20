//! The chart: its rendered manifests, the values that it rejects, and its installation in a real
//! cluster.

mod installation;
mod manifests;
mod refusals;
mod rendering;
mod rights;

/// Path of the chart, relative to the folder of the workspace, where helm runs.
const CHART: &str = "charts/kubeconfig-apiserver";

/// The name of the release, of its namespace and of most of its objects.
const NAME: &str = "kubeconfig-apiserver";

/// Returns arguments for `helm VERB` on the chart, followed by others.
fn on_chart<'a>(verb: &'a str, others: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec![verb, NAME, CHART, "--namespace", NAME];
    arguments.extend(others);
    arguments
}

/// The values without a default: those of a store.
const ETCD: &[&str] = &[
    "--set=store.kind=etcd",
    "--set=store.etcd.endpoints={http://etcd:2379}",
];
