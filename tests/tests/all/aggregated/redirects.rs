//! A hostile cluster behind the gateway of a server behind a host: it redirects kubectl neither to
//! a thief nor to the host.

use e2e::Host;

use crate::redirects::Scene;

#[test]
fn kubectl_follows_a_cluster_to_that_cluster_alone() {
    let host = Host::start().unwrap();
    let scene = Scene::begin(&host);
    scene.leads_nobody_out();
    scene.leads_within_the_cluster();
}
