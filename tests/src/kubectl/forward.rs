//! A kubectl that forwards a port.

use std::net::TcpStream;
use std::time::Duration;

use anyhow::Context;

use super::{Kubectl, Running};

/// Time limit of a start or an answer, far more than either takes.
const LIMIT: Duration = Duration::from_secs(60);

/// A started `kubectl port-forward`; ended when dropped.
#[derive(Debug)]
pub struct Forward {
    address: String,
    _running: Running,
}

impl Forward {
    /// Forwards a free local port to port 80 of a pod. Returns when it listens.
    pub fn start(kubectl: &Kubectl, pod: &str) -> anyhow::Result<Self> {
        let forward = ["port-forward", "--address=127.0.0.1", pod, ":80"];
        let running = kubectl.start(&forward)?;
        let line = running.next_line(LIMIT)?;
        let address = line.strip_prefix("Forwarding from ");
        let address = address.and_then(|rest| rest.strip_suffix(" -> 80"));
        Ok(Self {
            address: address.context(line.clone())?.to_owned(),
            _running: running,
        })
    }

    /// Connects to the port. Reads and writes on the connection time out.
    pub fn connect(&self) -> anyhow::Result<TcpStream> {
        let socket = TcpStream::connect(&self.address)?;
        socket.set_read_timeout(Some(LIMIT))?;
        socket.set_write_timeout(Some(LIMIT))?;
        Ok(socket)
    }
}
