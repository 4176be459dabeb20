//! A node without a machine: the half of a kubelet that kube-apiserver talks to.
//!
//! kube-apiserver passes `logs`, `exec` and `port-forward` on to the kubelet of the pod's node. This one runs nothing. What it answers is fixed, so that a test knows it:
//!
//! * `logs` gives `1 of POD`, and with `--follow` goes on counting, five lines a second.
//! * `exec` prints its command on one line, then what it is given to read.
//! * `port-forward` sends back what it is sent.
//!
//! kube-apiserver has no node proxy to an address of its own machine, so there is none here.

mod connection;
mod request;
mod spdy;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;

use crate::TestCluster;
use crate::authority::Certificate;
use crate::http::{Client, Request, expect};

/// A node of a cluster. Dropped, it listens no more; its object stays.
pub struct Kubelet {
    node: String,
    address: SocketAddr,
    admin: Client,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Kubelet {
    /// Listens, and makes the node of this name.
    pub fn start(cluster: &TestCluster, node: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let tls = Arc::new(tls(&cluster.authority().server()?)?);
        let ended = Arc::new(AtomicBool::new(false));
        let thread = {
            let ended = Arc::clone(&ended);
            thread::spawn(move || accept(&listener, &tls, &ended))
        };
        let kubelet = Self {
            node: node.to_owned(),
            address,
            admin: cluster.admin()?,
            ended,
            thread: Some(thread),
        };
        kubelet.register()?;
        Ok(kubelet)
    }

    /// Makes a pod on this node that says it runs, with one container, `c`.
    pub fn add_pod(&self, namespace: &str, name: &str) -> anyhow::Result<()> {
        let pods = format!("/api/v1/namespaces/{namespace}/pods");
        let pod = json!({
            "metadata": {"name": name},
            "spec": {"nodeName": self.node, "containers": [{"name": "c", "image": "none"}]},
        });
        expect(self.admin.post(&pods, &pod)?, 201)?;
        let running = json!({"status": {"phase": "Running"}}).to_string();
        let update = Request::new("PATCH", &format!("{pods}/{name}/status"))
            .body("application/merge-patch+json", running);
        expect(self.admin.send(&update)?, 200)?;
        Ok(())
    }

    fn register(&self) -> anyhow::Result<()> {
        let node = json!({
            "metadata": {"name": self.node},
            "status": {
                "addresses": [{"type": "InternalIP", "address": self.address.ip()}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": self.address.port()}},
            },
        });
        expect(self.admin.post("/api/v1/nodes", &node)?, 201)?;
        Ok(())
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes it up to see that; it may be gone already.
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Serves each connection in a thread of its own, which ends with the connection.
fn accept(listener: &TcpListener, tls: &Arc<ServerConfig>, ended: &AtomicBool) {
    while let Ok((socket, _)) = listener.accept() {
        if ended.load(Ordering::SeqCst) {
            return;
        }
        let tls = Arc::clone(tls);
        // A connection that breaks off is for its other end to complain about.
        thread::spawn(move || -> io::Result<()> { connection::serve(socket, tls) });
    }
}

fn tls(certificate: &Certificate) -> anyhow::Result<ServerConfig> {
    let chain = CertificateDer::from_pem_slice(certificate.certificate.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes())?;
    let provider = aws_lc_rs::default_provider().into();
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)?)
}
