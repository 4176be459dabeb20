//! The program as a process: it starts, ends, and has the same state after a restart.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use e2e::Server;

const CREATE: &[&str] = &["create", "-o", "jsonpath={.metadata.name}", "-f", "-"];
const KUBECONFIG: &str = "{apiVersion: ext.cattle.io/v1, kind: Kubeconfig}";
const NAMES: &[&str] = &[
    "get",
    "kubeconfigs",
    "-o",
    "jsonpath={.items[*].metadata.name}",
];

#[test]
fn a_restart_keeps_the_address_and_the_records() {
    let mut server = Server::start().unwrap();
    let url = server.url().unwrap();
    let alice = server.kubectl("alice").unwrap();
    let created = alice.run_with_input(CREATE, KUBECONFIG).unwrap();
    assert_eq!((created.code, created.stderr.as_str()), (0, ""));
    for end_kindly in [false, true] {
        if end_kindly {
            assert_eq!(server.terminate().unwrap().code(), Some(0));
        }
        server.restart().unwrap();
        assert_eq!(server.url().unwrap(), url);
        assert_eq!(alice.output(NAMES).unwrap(), created.stdout);
    }
}

#[test]
fn the_kubeconfigs_are_for_their_owner_only() {
    let server = Server::start().unwrap();
    for user in ["admin", "alice", "bob"] {
        let mode = fs::metadata(server.kubeconfig(user))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{user}");
    }
}
