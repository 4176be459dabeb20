//! An attack on a server's resources, in a process of its own with the lowest priority: what honest clients
//! notice is then the server's doing, and not that of an attacker who takes the processors from them.
//!
//! The parent writes an [`Attack`] to standard input, one line of JSON, and closes it when the attack is to
//! end. The child prints a [`Tally`].

mod heads;
mod held;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio::runtime;
use tokio::sync::Semaphore;

use crate::connection::Connection;
use crate::endpoint::{Endpoint, Identity, Stream};
use crate::process::Process;

pub(crate) use heads::Heads;

/// The least that the scheduler gives.
const NICENESS: i32 = 19;

/// Addresses from which the connections come, 127.0.0.2 and the next ones. Honest clients have 127.0.0.1.
const SOURCES: usize = 4;

/// Connections that are being opened at once.
const OPENING: usize = 256;

/// Time before the next attempt of a connection that failed.
const PAUSE: Duration = Duration::from_millis(10);

/// An attack and its target.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Attack {
    /// The server.
    pub(crate) address: SocketAddr,
    /// The certificates that it is trusted by, PEM.
    pub(crate) roots: String,
    /// The user that attacks; `None` for an anonymous client.
    pub(crate) identity: Option<Identity>,
    /// Connections at once. One that ends is opened again.
    pub(crate) connections: usize,
    /// The work of each connection.
    pub(crate) technique: Technique,
}

/// The work of a connection of an attack.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Technique {
    /// Opens a TCP connection and sends nothing.
    SilentTcp,
    /// Sends nothing after its TLS handshake.
    SilentTls,
    /// Sends these requests one after the other, as answers come.
    Requests(Vec<String>),
    /// Sends one of these requests and does not read.
    Unread(Vec<String>),
    /// Sends this head, and then a byte of its body in a second.
    SlowBody(String),
    /// Sends HTTP/2 heads.
    Heads(Heads),
}

/// The events of an attack by name, which for answers is their status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally(pub(crate) BTreeMap<String, u64>);

/// A running attack, as a child of the bench.
pub(crate) struct Attacker {
    process: Process,
}

impl Attacker {
    /// Starts it.
    pub(crate) fn start(attack: &Attack) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("attack");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start(&mut command)?;
        let input = process.child().stdin.as_mut().context("no pipe")?;
        writeln!(input, "{}", serde_json::to_string(attack)?)?;
        Ok(Self { process })
    }

    /// Ends it, and returns what it did.
    pub(crate) fn stop(mut self) -> anyhow::Result<Tally> {
        let child = self.process.child();
        drop(child.stdin.take());
        let mut output = String::new();
        let pipe = child.stdout.as_mut().context("no pipe")?;
        pipe.read_to_string(&mut output)?;
        serde_json::from_str(&output).context("the attacker failed")
    }
}

/// The attack itself, in the child.
pub(crate) fn run() -> anyhow::Result<()> {
    // Threads that start later inherit it.
    rustix::process::nice(NICENESS)?;
    let mut input = BufReader::new(std::io::stdin());
    let mut line = String::new();
    input.read_line(&mut line)?;
    let attack: Attack = serde_json::from_str(&line)?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    let place = Arc::new(Place::new(attack)?);
    for index in 0..place.attack.connections {
        runtime.spawn(attack_for_ever(Arc::clone(&place), index));
    }
    input.read_line(&mut line)?;
    let tally = place.events.lock();
    let tally = tally.unwrap_or_else(PoisonError::into_inner).clone();
    write!(std::io::stdout(), "{}", serde_json::to_string(&tally)?)?;
    runtime.shutdown_background();
    Ok(())
}

/// The parts that the connections of an attack share.
struct Place {
    attack: Attack,
    endpoint: Arc<Endpoint>,
    opening: Semaphore,
    events: Mutex<Tally>,
}

impl Place {
    fn new(attack: Attack) -> anyhow::Result<Self> {
        let roots = attack.roots.as_bytes();
        let endpoint = Endpoint::new(attack.address, roots, attack.identity.as_ref())?;
        Ok(Self {
            endpoint: match attack.technique {
                Technique::Heads(_) => endpoint.over_http2(),
                Technique::SilentTcp => Endpoint::plain(attack.address),
                _ => endpoint,
            },
            attack,
            opening: Semaphore::new(OPENING),
            events: Mutex::default(),
        })
    }

    fn count(&self, event: &str) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        *events.0.entry(event.to_owned()).or_default() += 1;
    }

    async fn open(&self, index: usize) -> anyhow::Result<Box<dyn Stream>> {
        let _permit = self.opening.acquire().await?;
        let last = u8::try_from(2 + index % SOURCES)?;
        let source = Ipv4Addr::new(127, 0, 0, last);
        let stream = self.endpoint.connect_from(source).await;
        self.count(match stream {
            Ok(_) => "opened",
            Err(_) => "not opened",
        });
        stream
    }
}

async fn attack_for_ever(place: Arc<Place>, index: usize) {
    loop {
        // How a connection ends is the server's matter; another one takes its place.
        if attack_once(&place, index).await.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn attack_once(place: &Place, index: usize) -> anyhow::Result<()> {
    let stream = place.open(index).await?;
    match &place.attack.technique {
        Technique::SilentTcp | Technique::SilentTls => held::silent(stream).await,
        Technique::Unread(requests) => {
            let request = &requests[index % requests.len()];
            held::unread(stream, request).await
        }
        Technique::SlowBody(head) => held::slow_body(stream, head).await,
        Technique::Heads(heads) => heads.send(stream).await,
        Technique::Requests(requests) => {
            let mut connection = Connection::on(stream);
            for request in requests.iter().cycle().skip(index) {
                let answer = connection.exchange(request.as_bytes()).await?;
                place.count(&answer.status.to_string());
            }
            Ok(())
        }
    }
}
