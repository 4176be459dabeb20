//! A proxy that records the requests that it received.

use std::io::{BufRead, BufReader, Write, copy};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// The proxy, which runs until the test ends.
pub(crate) struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
        };
        let asked = Arc::clone(&proxy.asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let asked = Arc::clone(&asked);
                thread::spawn(move || lead(stream.unwrap(), &asked));
            }
        });
        proxy
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the first lines of the received requests, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn lead(stream: TcpStream, asked: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0);
    }
    let line = head.lines().next().unwrap().to_owned();
    let target = line.split(' ').nth(1).unwrap().to_owned();
    asked.lock().unwrap().push(line);
    let there = TcpStream::connect(target).unwrap();
    (&stream).write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let mut to = there.try_clone().unwrap();
    thread::spawn(move || {
        let _ = copy(&mut reader, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let _ = copy(&mut &there, &mut &stream);
    let _ = stream.shutdown(Shutdown::Write);
}
