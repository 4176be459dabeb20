//! Other proxies in front of the bare server: HAProxy, which does not authenticate users, and
//! `kubectl proxy`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::bare::Bare;
use crate::endpoint::Endpoint;
use crate::process::Process;
use crate::server;

/// Time limit of a start.
const LIMIT: Duration = Duration::from_secs(30);

/// Interval at which its readiness is polled.
const PAUSE: Duration = Duration::from_millis(10);

/// A running proxy.
pub(crate) struct Rival {
    pub(crate) name: &'static str,
    pub(crate) process: Process,
    pub(crate) endpoint: Arc<Endpoint>,
    /// The endpoint for raw TCP, if the proxy has one.
    pub(crate) bytes: Option<Arc<Endpoint>>,
}

/// Starts HAProxy on all processors, with TLS and keep-alive connections on both sides. Returns
/// `None` if it is not installed.
///
/// # Errors
/// Fails if it is installed and does not start.
pub(crate) async fn haproxy(bare: &Bare, folder: &Path) -> anyhow::Result<Option<Rival>> {
    let own = rcgen::generate_simple_self_signed([Ipv4Addr::LOCALHOST.to_string()])?;
    let pem = own.cert.pem();
    fs::write(
        folder.join("haproxy.pem"),
        pem.clone() + &own.signing_key.serialize_pem(),
    )?;
    fs::write(folder.join("haproxy-upstream.pem"), &bare.certificate)?;
    let ports = [free_port()?, free_port()?];
    let text = configuration(ports, bare.endpoint.port());
    fs::write(folder.join("haproxy.cfg"), text)?;

    let mut command = Command::new("haproxy");
    command.args(["-db", "-q", "-f", "haproxy.cfg"]);
    command.current_dir(folder).stdin(Stdio::null());
    let Some(process) = start(&mut command)? else {
        return Ok(None);
    };
    let [requests, bytes] = ports.map(|port| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Endpoint::new(address, pem.as_bytes(), None)
    });
    let rival = Rival {
        name: "HAProxy",
        process,
        endpoint: requests?,
        bytes: Some(bytes?),
    };
    rival.ready().await.map(Some)
}

fn free_port() -> std::io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

/// Returns a configuration with a port for requests, and one for raw TCP.
fn configuration([requests, bytes]: [u16; 2], upstream: u16) -> String {
    let suites = "ciphersuites TLS_AES_128_GCM_SHA256 ssl-min-ver TLSv1.3";
    format!(
        "global\n  maxconn 1000\n\
         defaults\n  mode http\n  http-reuse always\n  timeout connect 5s\n  timeout client 60s\n  \
         timeout server 60s\n\
         frontend clients\n  bind 127.0.0.1:{requests} ssl crt haproxy.pem {suites}\n  \
         default_backend upstream\n\
         backend upstream\n  server bare 127.0.0.1:{upstream} ssl verify required \
         ca-file haproxy-upstream.pem {suites}\n\
         listen bytes\n  mode tcp\n  bind 127.0.0.1:{bytes} ssl crt haproxy.pem {suites}\n  \
         server bare 127.0.0.1:{upstream} ssl verify required ca-file haproxy-upstream.pem {suites}\n"
    )
}

/// Starts `kubectl proxy`, which its clients reach without TLS. Returns `None` if kubectl is not
/// installed.
///
/// # Errors
/// Fails if it is installed and does not start.
pub(crate) async fn kubectl(
    program: &Path,
    bare: &Bare,
    folder: &Path,
) -> anyhow::Result<Option<Rival>> {
    let kubeconfig = folder.join("kubectl-proxy.kubeconfig");
    fs::write(&kubeconfig, kubeconfig_of(bare))?;
    let mut command = Command::new(program);
    command.args(["proxy", "--port=0", "--kubeconfig"]);
    command.arg(kubeconfig);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let Some(mut process) = start(&mut command)? else {
        return Ok(None);
    };
    let output = process.child().stdout.take().context("no pipe")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let address = line.trim().strip_prefix("Starting to serve on ");
    let address = address.with_context(|| format!("kubectl proxy said {line:?}"))?;
    let rival = Rival {
        name: "kubectl proxy",
        process,
        endpoint: Endpoint::plain(address.parse()?),
        bytes: None,
    };
    rival.ready().await.map(Some)
}

fn kubeconfig_of(bare: &Bare) -> String {
    let cluster = json!({
        "server": format!("https://{}", bare.endpoint.authority()),
        "certificate-authority-data": STANDARD.encode(&bare.certificate),
    });
    let file = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bare", "cluster": cluster}],
        "users": [{"name": "nobody", "user": {"token": "anything"}}],
        "contexts": [{"name": "bare", "context": {"cluster": "bare", "user": "nobody"}}],
        "current-context": "bare",
    });
    file.to_string()
}

/// Starts a program; returns `None` if it does not exist.
fn start(command: &mut Command) -> anyhow::Result<Option<Process>> {
    match Process::start(command) {
        Ok(process) => Ok(Some(process)),
        Err(error) => match error.downcast_ref::<std::io::Error>() {
            Some(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
            _ => Err(error),
        },
    }
}

impl Rival {
    /// Waits until the proxy forwards a request.
    async fn ready(mut self) -> anyhow::Result<Self> {
        let started = Instant::now();
        loop {
            let Err(error) = server::answers(&self.endpoint).await else {
                return Ok(self);
            };
            if let Some(status) = self.process.ended()? {
                bail!("{} ended: {status}", self.name);
            }
            if started.elapsed() > LIMIT {
                return Err(error.context(format!("{} is not ready", self.name)));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
