//! The well-known sample server of Kubernetes, `wardle.example.com/v1alpha1`, built on this crate.
//!
//! A served kind is one file (`flunder.rs`, `fischer.rs`) and one line in [`serve`]. Run the server
//! and copy the line that it prints:
//!
//! ```text
//! cargo run -p apiserver --example flunders [FOLDER [FRONT-PROXY-CA]]
//! kubectl --kubeconfig FOLDER/kubeconfig apply --server-side \
//!     -f crates/apiserver/examples/flunders/flunder.yaml
//! ```
//!
//! Objects are stored in FOLDER, by default a temporary one. The token in the kubeconfig permits
//! everything. A real server provides its own authenticators and authorizers.
//!
//! With FRONT-PROXY-CA, which is the file of kube-apiserver's `--requestheader-client-ca-file`, the
//! server is also an aggregated API server of a cluster on this machine: apply `FOLDER/host.json`
//! there.

mod access;
mod fischer;
mod flunder;
mod host;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use apiserver::GenericServer;
use apiserver::registry::Registries;
use apiserver::server::{ReloadableCertificate, Server};
use machinery::time::{Clock, SystemClock};
use storage::cache::{CacheBuilder, CacheOptions};
use storage::sqlite::{Sqlite, SqliteOptions};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::access::{Everything, Token};
use crate::fischer::Fischers;
use crate::flunder::Flunders;

/// The time that requests in flight get to complete after Ctrl-C.
const DRAIN: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let temporary = tempfile::tempdir()?;
    let mut given = std::env::args_os().skip(1).map(PathBuf::from);
    let folder = given.next();
    let folder = folder.as_deref().unwrap_or(temporary.path());
    serve(folder, given.next().as_deref()).await
}

async fn serve(folder: &Path, front_proxy_ca: Option<&Path>) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = Arc::new(Sqlite::open(folder, SqliteOptions::default())?);
    let cache = CacheBuilder::new(store.clone(), CacheOptions::default());
    let mut registries = Registries::new(store, cache, Arc::clone(&clock));
    let fischers = Fischers::new(&mut registries);
    let flunders = Flunders::new(&mut registries, &fischers);
    let cache = registries.into_cache().start().await?;
    let following = tokio::spawn({
        let stop = stop.clone();
        async move { cache.run(stop).await }
    });

    let token = uuid::Uuid::new_v4().to_string();
    let mut server = GenericServer::builder(Arc::new(Everything), Arc::clone(&clock))
        .authenticator(Arc::new(Token(token.clone())))
        .resource(flunders)
        .resource(fischers);
    if let Some(ca_file) = front_proxy_ca {
        server = server.authenticator(Arc::new(host::front_proxy(ca_file, clock)?));
    }
    let server = server.build();

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let names = ["127.0.0.1", "localhost", host::SERVICE].map(str::to_owned);
    let pair = rcgen::generate_simple_self_signed(names)?;
    let (certificate, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
    let address = listener.local_addr()?;
    let kubeconfig = access::kubeconfig(address, &certificate, &token);
    std::fs::write(folder.join("kubeconfig"), kubeconfig).context("cannot write the kubeconfig")?;
    let objects = host::objects(address, &certificate).to_string();
    std::fs::write(folder.join("host.json"), objects).context("cannot write host.json")?;
    announce(folder);

    let certificate = ReloadableCertificate::load(certificate.as_bytes(), key.as_bytes())?;
    let tls = Arc::new(certificate.server_config(Vec::new())?);
    let running =
        tokio::spawn(Server::new(listener, tls, server.service()).run(stop.clone(), DRAIN));
    tokio::signal::ctrl_c().await?;
    server.shutdown().cancel();
    stop.cancel();
    running.await?;
    following.await?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the user is to copy it")]
fn announce(folder: &Path) {
    println!("export KUBECONFIG={}", folder.join("kubeconfig").display());
}
