//! A node without a machine: the part of a kubelet that kube-apiserver connects to.
//!
//! kube-apiserver forwards `logs`, `exec` and `port-forward` to the kubelet of the pod's node. This
//! one runs nothing. Its answers are fixed, so that tests can expect them:
//!
//! * `logs` returns `1 of POD`, and with `--follow` continues to count, five lines a second.
//! * `exec` prints its command on one line, then its standard input.
//! * `port-forward` echoes the received bytes.
//!
//! kube-apiserver does not proxy to nodes at an address of its own machine, so the node proxy is
//! not supported.

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

/// A node of a cluster. When dropped, it stops listening; its object is kept.
pub struct Kubelet {
    node: String,
    address: SocketAddr,
    admin: Client,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Kubelet {
    /// Starts listening, and creates the node with this name.
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

    /// Creates a pod on this node that is reported as running, with one container, `c`.
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
        // Wakes the listener so that it ends. It may have ended already.
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
        // Errors of a connection are left to its other end.
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
