//! Long-running requests through the gateway: logs, commands, forwarded ports.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use e2e::Kubectl;
use e2e::kubectl::Forward;
use serde_json::json;
use tempfile::TempDir;
use test_cluster::{Kubelet, Options, TestCluster};

use super::fleet::{Fleet, Minted, admin_of, check, grant};

/// Time limit of the next line or an end, far more than either takes.
const LIMIT: Duration = Duration::from_secs(60);

const CHUNK_BYTES: usize = 64 * 1024;

/// Number of chunks in one GiB.
const CHUNKS: u64 = 16 * 1024;

/// Alice, who has all rights for the pods of a cluster.
struct Scene {
    fleet: Fleet,
    minted: Minted,
    alice: Kubectl,
    _kubelet: Kubelet,
    _cluster: TestCluster,
    _home: TempDir,
}

impl Scene {
    #[track_caller]
    fn start() -> Self {
        let fleet = Fleet::start();
        let cluster = TestCluster::start(&Options::default()).unwrap();
        let kubelet = Kubelet::start(&cluster, "node").unwrap();
        kubelet.add_pod("default", "pod").unwrap();
        let home = TempDir::new().unwrap();
        let admin = admin_of(&cluster, home.path());
        grant(
            &admin,
            "alice",
            "pods",
            &[
                "--verb=*",
                "--resource=pods,pods/log,pods/exec,pods/portforward",
            ],
        );
        fleet.register("a", &cluster, &["alice"]);
        let minted = fleet.mint(
            "alice",
            json!({"clusters": ["a"], "includeDefaultEntry": false}),
        );
        let alice = fleet.kubectl(&minted);
        Self {
            fleet,
            minted,
            alice,
            _kubelet: kubelet,
            _cluster: cluster,
            _home: home,
        }
    }
}

#[test]
fn logs_are_followed_until_the_record_goes() {
    let scene = Scene::start();
    check(&scene.alice, &["logs", "pod"], "1 of pod\n");
    let mut follow = scene.alice.start(&["logs", "--follow", "pod"]).unwrap();
    for line in ["1 of pod", "2 of pod", "3 of pod"] {
        assert_eq!(follow.next_line(LIMIT).unwrap(), line);
    }
    scene.fleet.delete("alice", &scene.minted);
    follow.wait(LIMIT).unwrap();
}

#[test]
fn commands_and_ports_are_reached_by_websocket_and_by_spdy() {
    let scene = Scene::start();
    for (commands, ports) in [("true", "true"), ("false", "false")] {
        let kubectl = scene
            .alice
            .with_environment("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", commands)
            .with_environment("KUBECTL_PORT_FORWARD_WEBSOCKETS", ports);
        check_command(&kubectl);
        check_port(&kubectl);
    }
}

#[track_caller]
fn check_command(kubectl: &Kubectl) {
    check(kubectl, &["exec", "pod", "--", "true"], "true\n");
    let cat = ["exec", "--stdin", "pod", "--", "cat", "-"];
    let answer = kubectl.run_with_input(&cat, "one\ntwo\n").unwrap();
    assert_eq!(
        (answer.code, answer.stdout.as_str(), answer.stderr.as_str()),
        (0, "cat -\none\ntwo\n", "")
    );
}

#[track_caller]
fn check_port(kubectl: &Kubectl) {
    let forward = Forward::start(kubectl, "pod").unwrap();
    let mut socket = forward.connect().unwrap();
    socket.write_all(b"ping").unwrap();
    let mut pong = [0; 4];
    socket.read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"ping");
}

#[test]
fn a_tunnel_gives_back_every_byte_of_a_gibibyte_and_ends_with_the_record() {
    let scene = Scene::start();
    let forward = Forward::start(&scene.alice, "pod").unwrap();
    let mut socket = forward.connect().unwrap();
    let (sent, received) = exchange(&socket);
    assert_eq!(sent, received);

    scene.fleet.delete("alice", &scene.minted);
    let end = socket.read(&mut [0]).map_err(|error| error.kind());
    assert!(
        matches!(end, Ok(0) | Err(ErrorKind::ConnectionReset)),
        "{end:?}"
    );
}

/// Sends a gibibyte while receiving as much, and returns the SHA-256 of both.
fn exchange(socket: &TcpStream) -> (Vec<u8>, Vec<u8>) {
    thread::scope(|scope| {
        let sent = scope.spawn(|| send(socket));
        let received = receive(socket);
        (sent.join().unwrap(), received)
    })
}

/// Sends the chunks. No two chunks are equal, and none matches at another offset.
fn send(mut socket: &TcpStream) -> Vec<u8> {
    let mut digest = Context::new(&SHA256);
    let mut chunk: Vec<u8> = (0..=250).cycle().take(CHUNK_BYTES).collect();
    for number in 0..CHUNKS {
        chunk[..8].copy_from_slice(&number.to_be_bytes());
        digest.update(&chunk);
        socket.write_all(&chunk).unwrap();
    }
    digest.finish().as_ref().to_vec()
}

fn receive(mut socket: &TcpStream) -> Vec<u8> {
    let mut digest = Context::new(&SHA256);
    let mut chunk = vec![0; CHUNK_BYTES];
    for _ in 0..CHUNKS {
        socket.read_exact(&mut chunk).unwrap();
        digest.update(&chunk);
    }
    digest.finish().as_ref().to_vec()
}
