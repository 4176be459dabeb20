//! A load balancer for connections, as a Service with ready endpoints is one.

use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::readiness::Readiness;

/// Hands each connection to its port to the next of its targets that is ready, and none elsewhere.
/// Lives as long as the process.
#[derive(Debug)]
pub struct Balancer {
    port: u16,
    targets: Arc<Targets>,
}

#[derive(Debug, Default)]
struct Targets {
    known: Mutex<Vec<(u16, Readiness)>>,
    next: AtomicUsize,
}

impl Balancer {
    /// A balancer without targets on a free port.
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

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sends connections to this port too, while it is ready. Those that are open stay, whatever
    /// becomes of it.
    pub fn add(&self, port: u16, readiness: Readiness) {
        self.targets.known().push((port, readiness));
    }
}

impl Targets {
    /// Connects a client to the first target that takes it.
    fn serve(&self, client: &TcpStream) {
        let ready = |(port, readiness): &(u16, Readiness)| readiness.is_ready().then_some(*port);
        let ports: Vec<u16> = self.known().iter().filter_map(ready).collect();
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        for offset in 0..ports.len() {
            let port = ports[(first + offset) % ports.len()];
            if let Ok(target) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                relay(client, &target);
                return;
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Vec<(u16, Readiness)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Both ways, until both have ended.
fn relay(client: &TcpStream, target: &TcpStream) {
    thread::scope(|scope| {
        scope.spawn(|| copy(client, target));
        copy(target, client);
    });
}

fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    // A connection that breaks ends both ways; nobody is to be told but the two ends.
    if io::copy(&mut from, &mut to).is_err() {
        let _ = from.shutdown(Shutdown::Both);
    }
    let _ = to.shutdown(Shutdown::Write);
}
