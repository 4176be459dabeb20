//! A connection from kube-apiserver: one request and its answer, of any duration.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::request::Request;
use super::spdy::{Event, Session};

/// Interval between two lines of a log that is followed.
const PAUSE: Duration = Duration::from_millis(200);

/// Number of input bytes read at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// Reports to `kubectl exec` that its command has succeeded.
const SUCCESS: &[u8] = br#"{"metadata":{},"status":"Success"}"#;

/// A TLS connection with a read buffer.
struct Connection(BufReader<StreamOwned<ServerConnection, TcpStream>>);

/// Answers one request.
pub(super) fn serve(socket: TcpStream, tls: Arc<ServerConfig>) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let session = ServerConnection::new(tls).map_err(io::Error::other)?;
    let stream = StreamOwned::new(session, socket);
    let mut connection = Connection(BufReader::with_capacity(BUFFER_BYTES, stream));
    let request = Request::read(&mut connection.0)?;
    let place: Vec<&str> = request.path.split('/').skip(1).collect();
    match (place.as_slice(), request.header("upgrade")) {
        (["containerLogs", _, pod, _], None) => logs(&mut connection, &request, pod)?,
        (["exec", ..], Some("SPDY/3.1")) => exec(&mut connection, &request)?,
        (["portForward", ..], Some("SPDY/3.1")) => forward(&mut connection)?,
        _ => write!(
            connection,
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        )?,
    }
    connection.0.get_mut().conn.send_close_notify();
    connection.flush()
}

fn logs(connection: &mut Connection, request: &Request, pod: &str) -> io::Result<()> {
    let is_followed = request.parameters("follow").eq(["true"]);
    write!(
        connection,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    )?;
    let mut number = 1;
    loop {
        let line = format!("{number} of {pod}\n");
        write!(connection, "{:x}\r\n{line}\r\n", line.len())?;
        connection.flush()?;
        if !is_followed {
            return write!(connection, "0\r\n\r\n");
        }
        number += 1;
        pause();
    }
}

fn exec(connection: &mut Connection, request: &Request) -> io::Result<()> {
    switch(connection, "v4.channel.k8s.io")?;
    let command: Vec<&str> = request.parameters("command").collect();
    let asked = |name: &str| request.parameters(name).eq(["1"]);
    // The streams are opened in this order: errors, input, output, error output.
    let output = if asked("input") { 2 } else { 1 };
    let expected = output + 1 + usize::from(asked("error"));
    let mut streams = Vec::new();
    let mut session = Session::new(connection);
    while let Some(event) = session.next()? {
        let has_ended = match event {
            Event::Opened(stream) => {
                streams.push(stream);
                let is_complete = streams.len() == expected;
                if is_complete {
                    let line = format!("{}\n", command.join(" "));
                    session.send(streams[output], line.as_bytes(), false)?;
                }
                is_complete && !asked("input")
            }
            Event::Data { bytes, is_last, .. } => {
                session.send(streams[output], &bytes, false)?;
                is_last
            }
        };
        if has_ended {
            session.send(streams[0], SUCCESS, true)?;
            for stream in &streams[output..] {
                session.send(*stream, &[], true)?;
            }
        }
    }
    Ok(())
}

/// Serves `port-forward`: two streams for each connection, one of them for errors, which its client
/// ends at once. Echoing the data and the end of a stream is right for both.
fn forward(connection: &mut Connection) -> io::Result<()> {
    switch(connection, "portforward.k8s.io")?;
    let mut session = Session::new(connection);
    while let Some(event) = session.next()? {
        if let Event::Data {
            stream,
            bytes,
            is_last,
        } = event
        {
            session.send(stream, &bytes, is_last)?;
        }
    }
    Ok(())
}

fn switch(connection: &mut Connection, version: &str) -> io::Result<()> {
    write!(
        connection,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\
         X-Stream-Protocol-Version: {version}\r\n\r\n"
    )?;
    connection.flush()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a log that grows needs time to pass, and nothing else waits for it"
)]
fn pause() {
    thread::sleep(PAUSE);
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.get_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.get_mut().flush()
    }
}
