//! A proxy in place of DNS: it connects every requested name to one address.

use std::io::{BufRead, BufReader, Write, copy};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread;

/// Starts the proxy, which runs until the process ends, and returns its URL.
pub(super) fn leading_to(address: &str) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let address = address.to_owned();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let address = address.clone();
            thread::spawn(move || lead(client, &address));
        }
    });
    url
}

/// Reads a CONNECT and joins both sides, until one side disconnects.
fn lead(mut client: TcpStream, address: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > "\r\n".len() {}
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let mut there = TcpStream::connect(address)?;
    let mut back = (there.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        let _ = copy(&mut back.0, &mut back.1);
        back.1.shutdown(Shutdown::Write)
    });
    copy(&mut reader, &mut there)?;
    there.shutdown(Shutdown::Write)
}
