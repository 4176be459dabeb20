//! A load balancer for connections, as a Service with ready endpoints is one.

use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Hands each connection to its port to the next of its targets. Lives as long as the process.
#[derive(Debug)]
pub struct Balancer {
    port: u16,
    targets: Arc<Targets>,
}

#[derive(Debug, Default)]
struct Targets {
    ports: Mutex<Vec<u16>>,
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

    /// Sends connections to this port too.
    pub fn add(&self, port: u16) {
        self.targets.ports().push(port);
    }

    /// Sends no further connections to this port. Those that are open stay.
    pub fn remove(&self, port: u16) {
        self.targets.ports().retain(|target| *target != port);
    }
}

impl Targets {
    /// Connects a client to the first target that takes it.
    fn serve(&self, client: &TcpStream) {
        let ports = self.ports().clone();
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        for offset in 0..ports.len() {
            let port = ports[(first + offset) % ports.len()];
            if let Ok(target) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                relay(client, &target);
                return;
            }
        }
    }

    fn ports(&self) -> MutexGuard<'_, Vec<u16>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
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
