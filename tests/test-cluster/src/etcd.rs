//! An etcd cluster, whose members a test can suspend, kill and restart.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::authority::Authority;
use crate::cluster::{ATTEMPTS, LIMIT, free_port};
use crate::daemon::Daemon;
use crate::{poll, tools};

/// Time limit of a request for the state of a member. A suspended member never answers.
const PATIENCE: Duration = Duration::from_millis(500);

/// Running etcd members, reached over TLS with a client certificate. When dropped, they are killed
/// and their folder is removed; after a panic the folder is kept and printed, for their logs.
pub struct EtcdCluster {
    members: Vec<Member>,
    flags: Vec<String>,
    folder: TempDir,
}

struct Member {
    daemon: Option<Daemon>,
    client_port: u16,
    peer_port: u16,
    /// The port of its metrics, without TLS.
    metrics_port: u16,
}

impl EtcdCluster {
    /// Starts a cluster and waits until it has a leader. `flags` are passed to each member, in
    /// addition to our own.
    ///
    /// # Errors
    /// Fails if a member ended, or was not ready in time; the error contains the path of the folder
    /// with the logs.
    pub fn start(members: usize, flags: &[&str]) -> anyhow::Result<Self> {
        let mut outcome = Self::start_once(members, flags);
        for _ in 1..ATTEMPTS {
            match &outcome {
                Err(error) if format!("{error:#}").contains("address already in use") => {
                    outcome = Self::start_once(members, flags);
                }
                _ => break,
            }
        }
        outcome
    }

    /// Returns the client URLs of the members, `https://127.0.0.1:PORT`.
    pub fn endpoints(&self) -> Vec<String> {
        let url = |member: &Member| format!("https://127.0.0.1:{}", member.client_port);
        self.members.iter().map(url).collect()
    }

    /// Returns the path of the CA of the members and of clients.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// Returns the path of a client certificate, PEM.
    pub fn certificate_file(&self) -> PathBuf {
        self.folder.path().join("client.crt")
    }

    /// Returns the path of its key.
    pub fn key_file(&self) -> PathBuf {
        self.folder.path().join("client.key")
    }

    /// Returns the folder of the files and logs: `0.log` is that of the first member.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Creates CA, client certificate and key, PEM files, that the members do not trust.
    pub fn foreign_files(&self) -> anyhow::Result<[PathBuf; 3]> {
        let foreign = Authority::new("foreign-ca")?;
        let client = foreign.client("storage", None)?;
        let write = |name: &str, pem: &str| {
            let file = self.folder.path().join(name);
            fs::write(&file, pem).map(|()| file)
        };
        Ok([
            write("foreign-ca.crt", foreign.pem())?,
            write("foreign.crt", &client.certificate)?,
            write("foreign.key", &client.key)?,
        ])
    }

    /// Kills a member, so that its port does not listen.
    pub fn kill(&mut self, member: usize) {
        self.members[member].daemon = None;
    }

    /// Starts a member that was killed, on its existing data. Returns when it follows a leader.
    pub fn restart(&mut self, member: usize) -> anyhow::Result<()> {
        self.launch(member)?;
        self.wait_until_ready(member)
    }

    /// Kills all members and starts them again.
    pub fn restart_all(&mut self) -> anyhow::Result<()> {
        for member in 0..self.members.len() {
            self.kill(member);
        }
        self.start_members()
    }

    /// Suspends a member: connections are accepted, but requests are not answered.
    pub fn pause(&self, member: usize) -> anyhow::Result<()> {
        self.signal(member, Signal::STOP)
    }

    /// Continues a member.
    pub fn resume(&self, member: usize) -> anyhow::Result<()> {
        self.signal(member, Signal::CONT)
    }

    /// Returns the current leader, once a member reports that it is the leader.
    pub fn leader(&self) -> anyhow::Result<usize> {
        poll::until("etcd has a leader", LIMIT, || {
            let leads = |member: &Member| member.says("etcd_server_is_leader 1");
            Ok(self.members.iter().position(leads))
        })
    }

    /// Returns the process id of a member, while it runs.
    pub fn id(&self, member: usize) -> Option<u32> {
        self.members[member].daemon.as_ref().map(Daemon::id)
    }

    /// Returns the metrics of a member, in the text format of Prometheus.
    pub fn metrics(&self, member: usize) -> anyhow::Result<String> {
        let metrics = self.members[member].metrics();
        metrics.with_context(|| format!("metrics of member {member}"))
    }

    fn start_once(members: usize, flags: &[&str]) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("test-etcd-")?;
        let authority = Authority::new("etcd-ca")?;
        write_files(folder.path(), &authority)?;
        let members: anyhow::Result<_> = (0..members).map(|_| Member::new()).collect();
        let mut cluster = Self {
            members: members?,
            flags: flags.iter().map(ToString::to_string).collect(),
            folder,
        };
        let started = cluster.start_members();
        cluster.folder.disable_cleanup(started.is_err());
        started.with_context(|| format!("logs are in {}", cluster.folder().display()))?;
        Ok(cluster)
    }

    /// Starts all members before waiting for any, because a single member does not become ready.
    fn start_members(&mut self) -> anyhow::Result<()> {
        for member in 0..self.members.len() {
            self.launch(member)?;
        }
        (0..self.members.len()).try_for_each(|member| self.wait_until_ready(member))
    }

    fn launch(&mut self, number: usize) -> anyhow::Result<()> {
        let peer = |(number, member): (usize, &Member)| {
            format!("{number}=http://127.0.0.1:{}", member.peer_port)
        };
        let peers: Vec<String> = self.members.iter().enumerate().map(peer).collect();
        let member = &mut self.members[number];
        let client = format!("https://127.0.0.1:{}", member.client_port);
        let own_peer = format!("http://127.0.0.1:{}", member.peer_port);
        let mut command = Command::new(tools::path("etcd")?);
        command
            .args(FLAGS)
            .args(&self.flags)
            .arg(format!("--name={number}"))
            .arg(format!("--data-dir={number}"))
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"))
            .arg(format!("--listen-peer-urls={own_peer}"))
            .arg(format!("--initial-advertise-peer-urls={own_peer}"))
            .arg(format!("--initial-cluster={}", peers.join(",")))
            .arg(format!(
                "--listen-metrics-urls=http://127.0.0.1:{}",
                member.metrics_port
            ))
            .current_dir(self.folder.path());
        let log = self.folder.path().join(format!("{number}.log"));
        member.daemon = Some(Daemon::start(&mut command, &log)?);
        Ok(())
    }

    fn wait_until_ready(&mut self, number: usize) -> anyhow::Result<()> {
        let member = &mut self.members[number];
        let mut daemon = member.daemon.take().context("the member is down")?;
        let ready = poll::until("etcd is ready", LIMIT, || {
            daemon.check()?;
            Ok(member.says("etcd_server_has_leader 1").then_some(()))
        });
        let ready = ready.map_err(|error| error.context(daemon.log_end()));
        member.daemon = Some(daemon);
        ready
    }

    fn signal(&self, member: usize, signal: Signal) -> anyhow::Result<()> {
        let daemon = self.members[member].daemon.as_ref();
        daemon.context("the member is down")?.signal(signal)
    }
}

impl Drop for EtcdCluster {
    #[expect(
        clippy::print_stderr,
        reason = "the test runner captures it for a failed test"
    )]
    fn drop(&mut self) {
        if thread::panicking() {
            self.folder.disable_cleanup(true);
            eprintln!("--- logs of etcd: {}", self.folder.path().display());
        }
    }
}

impl Member {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            daemon: None,
            client_port: free_port()?,
            peer_port: free_port()?,
            metrics_port: free_port()?,
        })
    }

    /// Returns whether its metrics contain this line now.
    fn says(&self, line: &str) -> bool {
        let metrics = self.metrics();
        metrics.is_ok_and(|answer| answer.lines().any(|said| said == line))
    }

    fn metrics(&self) -> std::io::Result<String> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.metrics_port));
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

/// The flags of all members. Files are those of [`write_files`], relative to the working folder.
const FLAGS: &[&str] = &[
    "--initial-cluster-state=new",
    "--client-cert-auth",
    "--trusted-ca-file=ca.crt",
    "--cert-file=server.crt",
    "--key-file=server.key",
    // The gateway would need a client certificate for its own connections.
    "--enable-grpc-gateway=false",
    "--unsafe-no-fsync",
    "--log-level=warn",
];

fn write_files(folder: &Path, authority: &Authority) -> anyhow::Result<()> {
    fs::write(folder.join("ca.crt"), authority.pem())?;
    for (name, certificate) in [
        ("server", authority.server()?),
        ("client", authority.client("storage", None)?),
    ] {
        fs::write(folder.join(format!("{name}.crt")), certificate.certificate)?;
        fs::write(folder.join(format!("{name}.key")), certificate.key)?;
    }
    Ok(())
}
