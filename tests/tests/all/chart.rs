//! The chart: what it renders, what it refuses, what a real cluster makes of it.

mod installation;
mod manifests;
mod refusals;
mod rendering;
mod rights;

/// Relative to the folder of the workspace, where helm runs.
const CHART: &str = "charts/kubeconfig-apiserver";

/// The name of the release, of its namespace and of most of its objects.
const NAME: &str = "kubeconfig-apiserver";

/// Arguments for `helm VERB` on the chart, with others after them.
fn on_chart<'a>(verb: &'a str, others: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec![verb, NAME, CHART, "--namespace", NAME];
    arguments.extend(others);
    arguments
}

/// A store and nothing else that has no default.
const ETCD: &[&str] = &[
    "--set=store.kind=etcd",
    "--set=store.etcd.endpoints={http://etcd:2379}",
];
