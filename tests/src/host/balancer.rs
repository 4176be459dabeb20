//! A load balancer for connections, which behaves like a Service with ready endpoints.

use std::io::{self, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::readiness::Readiness;

/// Forwards each connection to its port to the next of its ready targets, and closes it if no
/// target is ready. Runs until the process ends.
#[derive(Debug)]
pub struct Balancer {
    port: u16,
    targets: Arc<Targets>,
}

#[derive(Debug, Default)]
struct Targets {
    known: Mutex<Vec<Target>>,
    next: AtomicUsize,
}

#[derive(Clone, Debug)]
struct Target {
    port: u16,
    readiness: Readiness,
    /// Number of bytes from and to the target.
    carried: Arc<AtomicU64>,
}

impl Balancer {
    /// Starts a balancer without targets on a free port.
    pub fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let targets = Arc::<Targets>::default();
        let shared = Arc::clone(&targets);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let targets = Arc::clone(&shared);
                thread::spawn(move || targets.serve(&client));
            }
        });
        Ok(Self { port, targets })
    }

    /// Returns the port of the balancer.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Adds a target at this port, which is used while it is ready. Open connections are kept, even
    /// if the target becomes unready.
    pub fn add(&self, port: u16, readiness: Readiness) {
        self.targets.known().push(Target {
            port,
            readiness,
            carried: Arc::default(),
        });
    }

    /// Returns the target with the most bytes transferred since the last call.
    pub fn busiest(&self) -> Option<u16> {
        let known = self.targets.known();
        let carried = |target: &Target| (target.carried.swap(0, Ordering::Relaxed), target.port);
        known.iter().map(carried).max().map(|(_, port)| port)
    }
}

impl Targets {
    /// Connects a client to the next target. Closes the connection if the target does not listen
    /// any more.
    fn serve(&self, client: &TcpStream) {
        let mut ready = self.known().clone();
        ready.retain(|target| target.readiness.is_ready());
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let Some(target) = ready.get(next % ready.len().max(1)) else {
            return;
        };
        if let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, target.port)) {
            relay(client, &server, &target.carried);
        }
    }

    fn known(&self) -> MutexGuard<'_, Vec<Target>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Copies in both directions until both have ended.
fn relay(client: &TcpStream, server: &TcpStream, carried: &AtomicU64) {
    thread::scope(|scope| {
        scope.spawn(|| copy(client, server, carried));
        copy(server, client, carried);
    });
}

fn copy(mut from: &TcpStream, to: &TcpStream, carried: &AtomicU64) {
    // A connection that breaks ends both directions. Only its two ends need to notice.
    if io::copy(&mut from, &mut Counted(to, carried)).is_err() {
        let _ = from.shutdown(Shutdown::Both);
    }
    let _ = to.shutdown(Shutdown::Write);
}

struct Counted<'a>(&'a TcpStream, &'a AtomicU64);

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.write(bytes)?;
        self.1.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
