//! The plugin merges the answers and files of a server behind a host, but nothing of a hostile
//! server. The host itself is the cluster behind the gateway.

use e2e::{Host, HostOptions, OidcProvider};

use crate::merge::{READS, Scene};
use crate::real_clusters::fleet::{Fleet, grant};

#[test]
fn the_plugin_keeps_what_the_server_writes_and_nothing_else() {
    let provider = OidcProvider::start(&["alice"]).unwrap();
    let options = HostOptions::default().with_logins(&provider).unwrap();
    let host = Host::start_with(&options).unwrap();
    grant(&host.admin().unwrap().0, "alice", "reads", &READS);
    let fleet = Fleet::around(host);
    fleet.register("prod", &fleet.server.cluster, &["alice"]);
    Scene::begin(fleet, &provider).play();
}
