//! A host: a real kube-apiserver with the server behind it, as replicas run in a cluster.
//!
//! The kube-apiserver has an etcd of its own, the records may be in another one, and both wait for
//! the disk. The APIService refers to a Service of type ExternalName that resolves to this machine,
//! where one server listens at a time: [`Host::serve`] replaces it with a server on another store.
//!
//! Relies on `test-cluster` for the programs and their certificates. Its calls block, so they must
//! be made from a thread that may block.

mod objects;
mod twin;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::RngExt;
use test_cluster::{Certificate, EtcdCluster, Options, TestCluster, free_port, poll};

use crate::endpoint::{Endpoint, Identity};
use crate::process::{Meter, Process};
use crate::server::KUBECONFIGS;

pub(crate) use twin::{TWINS, of_record};

/// Name of the namespace and the Service of the server.
const NAME: &str = "kubeconfig-apiserver";

/// The user that sends the requests: authenticated on the host by certificate, with the rights of
/// any user of the chart.
const USER: &str = "alice";

/// Time limit until the host proxies requests.
const LIMIT: Duration = Duration::from_secs(120);

/// The store of records.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Store {
    /// An etcd for the records only.
    Etcd,
    /// Secrets of the host.
    Kubernetes,
}

impl Store {
    /// Returns the name of the store, for the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Kubernetes => "Secrets",
        }
    }
}

/// A host, and the server behind it once it has been started.
pub(crate) struct Host {
    cluster: TestCluster,
    etcd: EtcdCluster,
    user: Certificate,
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    server: Option<Process>,
}

impl Host {
    /// Starts a host without the server. The required programs must have been found.
    ///
    /// # Errors
    /// Fails if one of the programs does not start, or the host rejects an object that the server
    /// needs.
    pub(crate) fn start(program: &Path, folder: &Path) -> anyhow::Result<Self> {
        // Puts the data of both etcds on the disk that is measured. The call fails only for a
        // second host, for which it has been done already.
        let _ = tempfile::env::override_temp_dir(folder);
        let etcd = EtcdCluster::start(1, &["--unsafe-no-fsync=false"])?;
        let cluster = TestCluster::start(&Options {
            durable: true,
            ..Options::default()
        })?;
        let host = Self {
            user: cluster.client_certificate(USER, None)?,
            cluster,
            etcd,
            program: program.to_owned(),
            folder: folder.to_owned(),
            port: free_port()?,
            server: None,
        };
        objects::make(&host.cluster.admin()?, host.port)?;
        let key: [u8; 32] = rand::rng().random();
        let mut keys = OpenOptions::new();
        let mut keys = keys
            .create(true)
            .write(true)
            .mode(0o600)
            .open(host.keys())?;
        writeln!(keys, "0000000000000001:{}", STANDARD.encode(key))?;
        Ok(host)
    }

    /// Starts the server with this store in place of the previous server. The host proxies requests
    /// when this returns.
    pub(crate) fn serve(&mut self, store: Store) -> anyhow::Result<()> {
        self.server = None;
        let mut server = self.spawn(store)?;
        let admin = self.cluster.admin()?;
        let told = || fs::read_to_string(self.log()).unwrap_or_default();
        let mut in_a_row = 0;
        poll::until("the host forwards requests", LIMIT, || {
            let ended = server.ended()?;
            ensure!(ended.is_none(), "the server ended: {ended:?}");
            let serves = admin.get(KUBECONFIGS)?.status == 200;
            in_a_row = if serves { in_a_row + 1 } else { 0 };
            Ok((in_a_row == 5).then_some(()))
        })
        .with_context(told)?;
        self.server = Some(server);
        Ok(())
    }

    /// Creates [`TWINS`], which kube-apiserver serves itself. The server must be running.
    pub(crate) fn add_twin(&self) -> anyhow::Result<()> {
        twin::make(&self.cluster.admin()?)
    }

    /// Returns the API server of the host, as the user.
    pub(crate) fn front(&self) -> anyhow::Result<Arc<Endpoint>> {
        let port = port(&self.cluster.url())?;
        self.endpoint(port, self.cluster.ca_pem().as_bytes())
    }

    /// Returns the server itself, as the user.
    pub(crate) fn direct(&self) -> anyhow::Result<Arc<Endpoint>> {
        let path = "/apis/apiregistration.k8s.io/v1/apiservices/v1.ext.cattle.io";
        let service = self.cluster.admin()?.get(path)?.json()?;
        let bundle = service["spec"]["caBundle"].as_str();
        let bundle = STANDARD.decode(bundle.context("an APIService without CA")?)?;
        self.endpoint(self.port, &bundle)
    }

    /// Returns meters of the server, kube-apiserver and the etcd of this store.
    pub(crate) fn meters(&self, store: Store) -> anyhow::Result<[Meter; 3]> {
        let server = self.server.as_ref().context("no server")?.meter();
        let apiserver = self.cluster.apiserver_id().context("no kube-apiserver")?;
        let etcd = match store {
            Store::Etcd => self.etcd.id(0).context("no etcd")?,
            Store::Kubernetes => self.cluster.etcd_id(),
        };
        Ok([server, Meter::of(apiserver), Meter::of(etcd)])
    }

    /// Returns the etcd of the records over HTTP/2, with a client certificate.
    pub(crate) fn etcd(&self) -> anyhow::Result<Arc<Endpoint>> {
        let url = self.etcd.endpoints().concat();
        let identity = Identity {
            chain: fs::read(self.etcd.certificate_file())?,
            key: fs::read(self.etcd.key_file())?,
        };
        let etcd = endpoint(port(&url)?, &fs::read(self.etcd.ca_file())?, &identity)?;
        Ok(etcd.over_http2())
    }

    /// Returns the metrics of the etcd of the records.
    pub(crate) fn etcd_metrics(&self) -> anyhow::Result<String> {
        self.etcd.metrics(0)
    }

    fn endpoint(&self, port: u16, roots: &[u8]) -> anyhow::Result<Arc<Endpoint>> {
        let identity = Identity {
            chain: self.user.certificate.clone().into_bytes(),
            key: self.user.key.clone().into_bytes(),
        };
        endpoint(port, roots, &identity)
    }

    fn spawn(&self, store: Store) -> anyhow::Result<Process> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())?;
        let gateway = free_port()?;
        let mut command = Command::new(&self.program);
        command
            .arg("aggregated")
            .arg("--host-kubeconfig")
            .arg(self.cluster.admin_kubeconfig())
            .arg(format!("--namespace={NAME}"))
            .arg("--bind-address=127.0.0.1")
            .arg(format!("--secure-port={}", self.port))
            .arg(format!("--gateway-port={gateway}"))
            .arg(format!("--external-url=https://127.0.0.1:{gateway}"))
            .arg("--shutdown-delay=0");
        if let Store::Etcd = store {
            command.arg("--store=etcd").arg(format!(
                "--etcd-endpoints={}",
                self.etcd.endpoints().join(",")
            ));
            for (flag, file) in [
                ("--etcd-ca-file", self.etcd.ca_file()),
                ("--etcd-cert-file", self.etcd.certificate_file()),
                ("--etcd-key-file", self.etcd.key_file()),
                ("--encryption-keys", self.keys()),
            ] {
                command.arg(flag).arg(file);
            }
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        Process::start(&mut command)
    }

    fn log(&self) -> PathBuf {
        self.folder.join("aggregated.log")
    }

    fn keys(&self) -> PathBuf {
        self.folder.join("encryption-keys")
    }
}

/// Polls until the condition is true, or [`LIMIT`] is over.
fn eventually(what: &str, so: impl Fn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    poll::until(what, LIMIT, || Ok(so()?.then_some(())))
}

fn endpoint(port: u16, roots: &[u8], identity: &Identity) -> anyhow::Result<Arc<Endpoint>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Endpoint::new(address, roots, Some(identity))
}

fn port(url: &str) -> anyhow::Result<u16> {
    let (_, port) = url.rsplit_once(':').context("a URL without a port")?;
    Ok(port.parse()?)
}
