//! An attack on a server's resources, in a separate process with the lowest priority. Its effects
//! on honest clients are then caused by the server, and not by an attacker who takes CPU time from
//! them.
//!
//! The parent writes an [`Attack`] to standard input, one line of JSON, and closes it to end the
//! attack. The child prints a [`Tally`].

mod heads;
mod held;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::runtime;
use tokio::sync::Semaphore;

use crate::connection::Connection;
use crate::endpoint::{Endpoint, Identity, Stream};
use crate::process::Process;

pub(crate) use heads::Heads;

/// The lowest scheduling priority.
const NICENESS: i32 = 19;

/// Number of source addresses of the connections, 127.0.0.2 and the following ones. Honest clients
/// use 127.0.0.1.
const SOURCES: usize = 4;

/// Maximum number of connections that are being opened at the same time.
const OPENING: usize = 256;

/// Pause before a failed connection is opened again.
const PAUSE: Duration = Duration::from_millis(10);

/// An attack and its target.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Attack {
    /// The address of the server.
    pub(crate) address: SocketAddr,
    /// The CA certificates of the server, PEM.
    pub(crate) roots: String,
    /// The user that attacks; `None` for an anonymous client.
    pub(crate) identity: Option<Identity>,
    /// Number of concurrent connections. A connection that ends is opened again.
    pub(crate) connections: usize,
    /// The behaviour of each connection.
    pub(crate) technique: Technique,
}

/// The behaviour of a connection of an attack.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Technique {
    /// Opens a TCP connection and sends nothing.
    SilentTcp,
    /// Sends nothing after its TLS handshake.
    SilentTls,
    /// Sends these requests one after the other, each after the previous answer.
    Requests(Vec<String>),
    /// Sends one of these requests and does not read the answer.
    Unread(Vec<String>),
    /// Sends this head, and then one byte of its body per second.
    SlowBody(String),
    /// Sends HTTP/2 heads.
    Heads(Heads),
}

/// The number of events of an attack by name. The name of an answer is its status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally(pub(crate) BTreeMap<String, u64>);

/// A running attack, as a child of the bench.
pub(crate) struct Attacker {
    process: Process,
}

impl Attacker {
    /// Starts the attack.
    pub(crate) fn start(attack: &Attack) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("attack");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start(&mut command)?;
        let input = process.child().stdin.as_mut().context("no pipe")?;
        writeln!(input, "{}", serde_json::to_string(attack)?)?;
        Ok(Self { process })
    }

    /// Ends the attack, and returns its tally.
    pub(crate) fn stop(mut self) -> anyhow::Result<Tally> {
        let child = self.process.child();
        drop(child.stdin.take());
        let mut output = String::new();
        let pipe = child.stdout.as_mut().context("no pipe")?;
        pipe.read_to_string(&mut output)?;
        serde_json::from_str(&output).context("the attacker failed")
    }
}

/// Runs the attack, in the child.
pub(crate) fn run() -> anyhow::Result<()> {
    // Threads that start later inherit the priority.
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
    let tally = tally.clone();
    write!(std::io::stdout(), "{}", serde_json::to_string(&tally)?)?;
    runtime.shutdown_background();
    Ok(())
}

/// The state that the connections of an attack share.
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
        let mut events = self.events.lock();
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
        // The server may end a connection in any manner; it is opened again.
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
