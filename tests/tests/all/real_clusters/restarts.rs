//! API servers of clusters that close connections and restart, under load: no request of a user
//! fails, and none is executed twice.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use e2e::Client;
use serde_json::json;
use tempfile::TempDir;
use test_cluster::{Options, TestCluster};

use super::fleet::{Fleet, admin_of, grant};

const CONFIGMAPS: &str = "/api/v1/namespaces/default/configmaps";

/// Users of a cluster who create objects until the load is stopped.
struct Load {
    stop: AtomicBool,
    created: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

impl Load {
    fn new() -> Self {
        Self {
            stop: AtomicBool::new(false),
            created: AtomicUsize::new(0),
            failures: Mutex::default(),
        }
    }

    /// Creates an object with a generated name, so that a duplicate would not be rejected.
    fn create(&self, client: &Client) {
        let object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"generateName": "load-", "labels": {"of": "load"}},
            "data": {"text": "a".repeat(3000)},
        });
        // Like client-go: a kube-apiserver that shuts down requests a retry, also without the
        // gateway.
        let answer = test_cluster::poll::until("an answer", super::faults::LIMIT, || {
            let answer = client.post(&format!("/k8s/clusters/c{CONFIGMAPS}"), &object)?;
            Ok(answer.header("retry-after").is_none().then_some(answer))
        });
        match answer {
            Ok(answer) if answer.status == 201 => {
                self.created.fetch_add(1, Ordering::SeqCst);
            }
            Ok(answer) => self.fail(answer.text()),
            Err(error) => self.fail(format!("{error:#}")),
        }
    }

    fn fail(&self, why: String) {
        self.failures.lock().unwrap().push(why);
    }

    fn run_until_stopped(&self, client: &Client) {
        while !self.stop.load(Ordering::SeqCst) {
            self.create(client);
        }
    }

    /// Waits for `more` additional objects.
    fn wait_for(&self, more: usize) {
        let wanted = self.created.load(Ordering::SeqCst) + more;
        test_cluster::poll::until("the load goes on", super::faults::LIMIT, || {
            let failures = self.failures.lock().unwrap();
            anyhow::ensure!(failures.is_empty(), "{failures:?}");
            Ok((self.created.load(Ordering::SeqCst) >= wanted).then_some(()))
        })
        .unwrap();
    }

    /// Checks that every create was answered 201, and each created one object.
    #[track_caller]
    fn check(&self, cluster: &TestCluster) {
        let failures = self.failures.lock().unwrap();
        assert!(
            failures.is_empty(),
            "{} failed: {:?}",
            failures.len(),
            failures.first()
        );
        let path = format!("{CONFIGMAPS}?labelSelector=of%3Dload");
        let list = cluster.admin().unwrap().get(&path).unwrap();
        let list = list.json().unwrap();
        let objects = list["items"].as_array().unwrap().len();
        assert_eq!(objects, self.created.load(Ordering::SeqCst));
    }
}

/// A load balancer, which connects new connections to one API server at a time.
struct Balancer {
    address: SocketAddr,
    target: Arc<Mutex<u16>>,
}

impl Balancer {
    fn start(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let target = Arc::new(Mutex::new(target));
        let current = Arc::clone(&target);
        thread::spawn(move || {
            for client in listener.incoming() {
                let port = *current.lock().unwrap();
                if let (Ok(client), Ok(server)) = (client, TcpStream::connect(("127.0.0.1", port)))
                {
                    let _ = join(client, server);
                }
            }
        });
        Self { address, target }
    }

    fn lead_to(&self, port: u16) {
        *self.target.lock().unwrap() = port;
    }
}

fn join(client: TcpStream, server: TcpStream) -> io::Result<()> {
    let pairs = [(client.try_clone()?, server.try_clone()?), (server, client)];
    for (mut from, mut to) in pairs {
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
    Ok(())
}

/// Permits alice to have files for a cluster and to create objects there. Returns her client.
fn client(fleet: &Fleet, cluster: &TestCluster) -> Client {
    let home = TempDir::new().unwrap();
    let rules = ["--verb=create,get,list", "--resource=configmaps"];
    grant(&admin_of(cluster, home.path()), "alice", "load", &rules);
    let minted = fleet.mint("alice", json!({"clusters": ["c"]}));
    minted.client("c")
}

#[test]
fn a_cluster_that_closes_connections_fails_no_request_and_gets_none_twice() {
    let options = Options {
        arguments: vec!["--goaway-chance=0.02".to_owned()],
        ..Options::default()
    };
    let (fleet, cluster) = (Fleet::start(), TestCluster::start(&options).unwrap());
    fleet.register("c", &cluster, &["alice"]);
    let (client, load) = (client(&fleet, &cluster), Load::new());
    thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| (0..50).for_each(|_| load.create(&client)));
        }
    });
    load.check(&cluster);
    assert_eq!(load.created.load(Ordering::SeqCst), 1600);
}

#[test]
fn a_rolling_restart_of_a_control_plane_fails_no_request() {
    let options = Options {
        arguments: vec!["--shutdown-delay-duration=2s".to_owned()],
        ..Options::default()
    };
    let (fleet, mut cluster) = (Fleet::start(), TestCluster::start(&options).unwrap());
    let port: u16 = cluster.url().rsplit(':').next().unwrap().parse().unwrap();
    let balancer = Balancer::start(port);
    let folder = TempDir::new().unwrap();
    let file = std::fs::read_to_string(cluster.admin_kubeconfig()).unwrap();
    let balanced = folder.path().join("balanced.kubeconfig");
    let url = format!("https://{}", balancer.address);
    std::fs::write(&balanced, file.replace(&cluster.url(), &url)).unwrap();
    let balanced = balanced.display().to_string();
    fleet.cluster(&["add", "c", "--from", &balanced]);
    fleet.open("c", &["alice"]);
    let (client, load) = (client(&fleet, &cluster), Load::new());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| load.run_until_stopped(&client));
        }
        let restarted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            load.wait_for(50);
            let other = cluster.start_another_apiserver(&options).unwrap();
            balancer.lead_to(other.port());
            cluster.terminate_apiserver().unwrap();
            load.wait_for(50);
            cluster.restart_apiserver(&options).unwrap();
            balancer.lead_to(port);
            other.terminate().unwrap();
            load.wait_for(50);
        }));
        load.stop.store(true, Ordering::SeqCst);
        restarted.unwrap();
    });
    load.check(&cluster);
}
