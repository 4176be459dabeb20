//! A cluster: its folder, its certificates, its programs.

use std::fs;
use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::RngExt;
use rcgen::KeyPair;
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use crate::authority::{Authority, Certificate};
use crate::daemon::Daemon;
use crate::http::Client;
use crate::{poll, tools};

/// Time limit of a start, which takes four seconds on an idle machine and many more during a build.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// Ports that no system uses as ephemeral ports: those start at 32768 on Linux, at 49152 elsewhere.
/// So such a port is still free after a restart.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Number of attempts to start, because a port can be taken between the check and the start of the
/// server.
pub(crate) const ATTEMPTS: usize = 3;

/// The common name required in a front proxy's certificate.
const FRONT_PROXY: &str = "front-proxy-client";

/// Options of kube-apiserver.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Content of the file for `--authentication-token-webhook-config-file`, a kubeconfig. Answers
    /// are not cached.
    pub token_webhook: Option<String>,
    /// Content of the file for `--authentication-config`, an `AuthenticationConfiguration`.
    pub authentication_config: Option<String>,
    /// Additional names in its serving certificate.
    pub names: Vec<String>,
    /// Additional flags.
    pub arguments: Vec<String>,
    /// True if etcd waits for the disk, as it does outside of tests. Only read at a start.
    pub durable: bool,
}

/// A running cluster. When dropped, its programs are killed and its folder is removed; after a
/// panic the folder is kept and printed, for its logs.
pub struct TestCluster {
    controller_manager: Option<Daemon>,
    apiserver: Option<Daemon>,
    etcd: Daemon,
    port: u16,
    authority: Authority,
    front_proxy: Authority,
    folder: TempDir,
}

impl TestCluster {
    /// Starts a cluster and waits until it answers.
    ///
    /// # Errors
    /// Fails if a program ended, or was not ready in time; the error contains the end of its log
    /// and the path of the folder, which is kept.
    pub fn start(options: &Options) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("test-cluster-")?;
        let authority = Authority::new("cluster-ca")?;
        let front_proxy = Authority::new("front-proxy-ca")?;
        write_files(folder.path(), &authority, &front_proxy)?;
        let mut cluster = Self {
            controller_manager: None,
            apiserver: None,
            etcd: start_etcd(folder.path(), options.durable)?,
            port: 0,
            authority,
            front_proxy,
            folder,
        };
        let started = cluster.start_on_a_free_port(options);
        cluster.folder.disable_cleanup(started.is_err());
        started.with_context(|| format!("logs are in {}", cluster.folder().display()))?;
        Ok(cluster)
    }

    /// Returns its URL, `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Returns the CA that signs its serving certificate and its client certificates, PEM.
    pub fn ca_pem(&self) -> &str {
        self.authority.pem()
    }

    /// Returns the path of a kubeconfig for the administrator: user `admin`, group
    /// `system:masters`.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.folder.path().join("admin.kubeconfig")
    }

    /// Returns a client as the administrator.
    pub fn admin(&self) -> anyhow::Result<Client> {
        Client::from_file(&self.admin_kubeconfig())
    }

    /// Issues a client certificate for any user, with an optional group.
    pub fn client_certificate(
        &self,
        user: &str,
        group: Option<&str>,
    ) -> anyhow::Result<Certificate> {
        self.authority.client(user, group)
    }

    /// Issues a certificate of the CA of front proxies, for any name.
    pub fn front_proxy_certificate(&self, name: &str) -> anyhow::Result<Certificate> {
        self.front_proxy.client(name, None)
    }

    /// Issues the same certificate, valid from the beginning of one year to that of another.
    pub fn front_proxy_certificate_in(
        &self,
        name: &str,
        years: Range<i32>,
    ) -> anyhow::Result<Certificate> {
        self.front_proxy.client_in(name, years)
    }

    /// Returns the folder of the logs, `kube-apiserver.log` and `etcd.log`, and of its client
    /// certificate for aggregated servers: `front-proxy-client.crt` and `.key`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts kube-apiserver again with these options, on the same port and the same objects. Kills
    /// it first if it is still running.
    pub fn restart_apiserver(&mut self, options: &Options) -> anyhow::Result<()> {
        self.stop_apiserver();
        self.start_apiserver(options)
    }

    /// Kills kube-apiserver, so that its port does not listen.
    pub fn stop_apiserver(&mut self) {
        self.apiserver = None;
    }

    /// Terminates kube-apiserver gracefully, and waits until it has ended.
    pub fn terminate_apiserver(&mut self) -> anyhow::Result<()> {
        let apiserver = self.apiserver.as_mut().context("kube-apiserver is down")?;
        terminate(apiserver)?;
        self.apiserver = None;
        Ok(())
    }

    /// Starts another kube-apiserver of the same cluster, on a port of its own.
    pub fn start_another_apiserver(&self, options: &Options) -> anyhow::Result<AnotherApiserver> {
        let port = free_port()?;
        let mut apiserver = self.spawn_apiserver(options, port)?;
        let client = self.admin()?.resolved_to(&format!("127.0.0.1:{port}"));
        poll::until("another kube-apiserver is ready", LIMIT, || {
            apiserver.check()?;
            let ready = client
                .get("/readyz")
                .is_ok_and(|answer| answer.status == 200);
            Ok(ready.then_some(()))
        })?;
        Ok(AnotherApiserver { apiserver, port })
    }

    /// Suspends kube-apiserver: connections are accepted, but requests are not answered.
    pub fn pause_apiserver(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Continues kube-apiserver.
    pub fn resume_apiserver(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Starts kube-controller-manager with the controllers that affect any API server: those of
    /// namespaces, garbage collection, quota, ServiceAccounts and aggregated roles.
    ///
    /// # Errors
    /// Fails if it cannot be started. Its log is `kube-controller-manager.log`.
    pub fn start_controller_manager(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(tools::path("kube-controller-manager")?);
        command.args(CONTROLLERS).current_dir(self.folder.path());
        let log = self.folder.path().join("kube-controller-manager.log");
        self.controller_manager = Some(Daemon::start(&mut command, &log)?);
        Ok(())
    }

    /// Returns the process id of kube-apiserver, while it runs.
    pub fn apiserver_id(&self) -> Option<u32> {
        self.apiserver.as_ref().map(Daemon::id)
    }

    /// Returns the process id of its etcd.
    pub fn etcd_id(&self) -> u32 {
        self.etcd.id()
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let apiserver = self.apiserver.as_ref().context("kube-apiserver is down")?;
        apiserver.signal(signal)
    }

    fn start_on_a_free_port(&mut self, options: &Options) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        for _ in 0..ATTEMPTS {
            self.port = free_port()?;
            fs::write(self.admin_kubeconfig(), self.admin_file()?)?;
            outcome = self.start_apiserver(options);
            match &outcome {
                Err(error) if error.to_string().contains("address already in use") => {}
                _ => break,
            }
        }
        outcome
    }

    fn start_apiserver(&mut self, options: &Options) -> anyhow::Result<()> {
        let mut apiserver = self.spawn_apiserver(options, self.port)?;
        self.wait_until_ready(&mut apiserver)?;
        self.apiserver = Some(apiserver);
        Ok(())
    }

    fn spawn_apiserver(&self, options: &Options, port: u16) -> anyhow::Result<Daemon> {
        let mut command = Command::new(tools::path("kube-apiserver")?);
        command
            .args(FLAGS)
            .arg(format!("--secure-port={port}"))
            .current_dir(self.folder.path());
        write_options(self.folder.path(), options, &mut command)?;
        self.write_names(&options.names, &mut command)?;
        let log = self.folder.path().join("kube-apiserver.log");
        Daemon::start(&mut command, &log)
    }

    fn write_names(&self, names: &[String], command: &mut Command) -> anyhow::Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let certificate = self.authority.server_of(names.to_vec())?;
        fs::write(
            self.folder.path().join("names.crt"),
            certificate.certificate,
        )?;
        fs::write(self.folder.path().join("names.key"), certificate.key)?;
        command.arg("--tls-sni-cert-key=names.crt,names.key");
        Ok(())
    }

    fn wait_until_ready(&self, apiserver: &mut Daemon) -> anyhow::Result<()> {
        let admin = self.admin()?;
        let answers = |path| admin.get(path).is_ok_and(|answer| answer.status == 200);
        let ready = poll::until("kube-apiserver is ready", LIMIT, || {
            apiserver.check()?;
            // Its readiness does not include the first namespaces.
            let ready = answers("/readyz") && answers("/api/v1/namespaces/default");
            Ok(ready.then_some(()))
        });
        ready.map_err(|error| error.context(apiserver.log_end()))
    }

    fn admin_file(&self) -> anyhow::Result<String> {
        let admin = self.authority.client("admin", Some("system:masters"))?;
        let file = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {
                "server": self.url(),
                "certificate-authority-data": STANDARD.encode(self.ca_pem()),
            }}],
            "users": [{"name": "admin", "user": {
                "client-certificate-data": STANDARD.encode(admin.certificate),
                "client-key-data": STANDARD.encode(admin.key),
            }}],
            "contexts": [{"name": "admin", "context": {"cluster": "test", "user": "admin"}}],
            "current-context": "admin",
        });
        Ok(file.to_string())
    }
}

impl Drop for TestCluster {
    #[expect(
        clippy::print_stderr,
        reason = "the test runner captures it for a failed test"
    )]
    fn drop(&mut self) {
        if thread::panicking() {
            self.folder.disable_cleanup(true);
            eprintln!("--- logs of the cluster: {}", self.folder.path().display());
        }
    }
}

/// Another kube-apiserver of a cluster. It is killed when dropped.
pub struct AnotherApiserver {
    apiserver: Daemon,
    port: u16,
}

impl AnotherApiserver {
    /// Returns its port at 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Terminates it gracefully, and waits until it has ended.
    pub fn terminate(mut self) -> anyhow::Result<()> {
        terminate(&mut self.apiserver)
    }
}

/// Sends SIGTERM, then waits.
fn terminate(apiserver: &mut Daemon) -> anyhow::Result<()> {
    apiserver.signal(Signal::TERM)?;
    poll::until("the end of kube-apiserver", LIMIT, || {
        Ok(apiserver.check().is_err().then_some(()))
    })
}

/// The flags that are the same at each start. Files are those of [`write_files`], relative to the
/// working folder.
const FLAGS: &[&str] = &[
    "--etcd-servers=unix://etcd:0",
    "--bind-address=127.0.0.1",
    "--advertise-address=127.0.0.1",
    "--service-cluster-ip-range=10.0.0.0/24",
    "--cert-dir=.",
    "--client-ca-file=ca.crt",
    "--tls-cert-file=server.crt",
    "--tls-private-key-file=server.key",
    "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
    "--service-account-key-file=service-account.pub",
    "--service-account-signing-key-file=service-account.key",
    "--authorization-mode=RBAC",
    "--requestheader-client-ca-file=front-proxy-ca.crt",
    "--requestheader-allowed-names=front-proxy-client",
    "--requestheader-username-headers=X-Remote-User",
    "--requestheader-uid-headers=X-Remote-Uid",
    "--requestheader-group-headers=X-Remote-Group",
    "--requestheader-extra-headers-prefix=X-Remote-Extra-",
    "--proxy-client-cert-file=front-proxy-client.crt",
    "--proxy-client-key-file=front-proxy-client.key",
    "--kubelet-certificate-authority=ca.crt",
    "--kubelet-client-certificate=kubelet-client.crt",
    "--kubelet-client-key=kubelet-client.key",
    "--kubelet-preferred-address-types=InternalIP",
    // The controller that creates the required default accounts does not run here.
    "--disable-admission-plugins=ServiceAccount",
];

/// The flags of kube-controller-manager, whose working folder is that of the cluster.
const CONTROLLERS: &[&str] = &[
    "--kubeconfig=admin.kubeconfig",
    "--leader-elect=false",
    "--secure-port=0",
    "--controllers=namespace-controller,garbage-collector-controller,resourcequota-controller,\
     serviceaccount-controller,clusterrole-aggregation-controller",
    "--service-account-private-key-file=service-account.key",
];

/// Starts etcd. It listens on sockets in its folder, so no port is needed, and other processes
/// cannot reach it.
fn start_etcd(folder: &Path, durable: bool) -> anyhow::Result<Daemon> {
    let mut command = Command::new(tools::path("etcd")?);
    command
        .args([
            "--data-dir=data",
            "--listen-client-urls=unix://etcd:0",
            "--advertise-client-urls=unix://etcd:0",
            "--listen-peer-urls=unix://peer:0",
            "--log-level=warn",
        ])
        .arg(format!("--unsafe-no-fsync={}", !durable))
        .current_dir(folder);
    Daemon::start(&mut command, &folder.join("etcd.log"))
}

fn write_files(
    folder: &Path,
    authority: &Authority,
    front_proxy: &Authority,
) -> anyhow::Result<()> {
    fs::write(folder.join("ca.crt"), authority.pem())?;
    fs::write(folder.join("front-proxy-ca.crt"), front_proxy.pem())?;
    let service_account = KeyPair::generate()?;
    let public = service_account.public_key_pem();
    fs::write(folder.join("service-account.pub"), public)?;
    fs::write(
        folder.join("service-account.key"),
        service_account.serialize_pem(),
    )?;
    for (name, certificate) in [
        ("server", authority.server()?),
        (
            "kubelet-client",
            authority.client("kube-apiserver-kubelet-client", None)?,
        ),
        (FRONT_PROXY, front_proxy.client(FRONT_PROXY, None)?),
    ] {
        fs::write(folder.join(format!("{name}.crt")), certificate.certificate)?;
        fs::write(folder.join(format!("{name}.key")), certificate.key)?;
    }
    Ok(())
}

fn write_options(folder: &Path, options: &Options, command: &mut Command) -> anyhow::Result<()> {
    if let Some(webhook) = &options.token_webhook {
        fs::write(folder.join("token-webhook.kubeconfig"), webhook)?;
        command.args([
            "--authentication-token-webhook-config-file=token-webhook.kubeconfig",
            "--authentication-token-webhook-version=v1",
            "--authentication-token-webhook-cache-ttl=0s",
        ]);
    }
    if let Some(configuration) = &options.authentication_config {
        fs::write(folder.join("authentication.yaml"), configuration)?;
        command.arg("--authentication-config=authentication.yaml");
    }
    command.args(&options.arguments);
    Ok(())
}

/// Returns a port of this machine that is not in use and not an ephemeral port.
///
/// # Errors
/// Fails if too many of the tried ports were taken.
pub fn free_port() -> anyhow::Result<u16> {
    for _ in 0..100 {
        let port = rand::rng().random_range(PORTS);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port among {PORTS:?}")
}
