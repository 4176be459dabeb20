//! Clients that send nothing, too much or two requests at once, before they are authenticated:
//! other clients are not affected.

mod flood;
mod socket;

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;

use e2e::server::Options;
use e2e::{Client, Server};

use self::flood::Flood;
use self::socket::{Socket, Target};

/// Maximum memory in MiB: the pod's limit in the chart is 512 Mi.
const MOST_MEMORY_MIB: u64 = 512;

fn limited(connections: usize) -> Server {
    let arguments = vec![format!("--max-connections={connections}")];
    let options = Options {
        arguments,
        ..Options::default()
    };
    Server::start_with(options).unwrap()
}

/// Returns the peak memory of the process so far, in MiB.
fn peak_mib(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() / 1024
}

/// Sends a user's request and health requests, over separate connections.
#[track_caller]
fn check_others_are_served(server: &Server, alice: &Client) {
    let path = "/apis/ext.cattle.io/v1/kubeconfigs";
    assert_eq!(alice.get(path).unwrap().status, 200);
    let anonymous = server.anonymous().unwrap();
    assert_eq!(anonymous.get("/livez").unwrap().status, 200);
}

#[track_caller]
fn counted(server: &Server, series: &str) -> u64 {
    let metrics = server.client("admin").unwrap().get("/metrics").unwrap();
    let text = metrics.text();
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    line.map_or(0, |value| value.trim().parse().unwrap())
}

#[test]
fn silent_connections_do_not_fill_the_server() {
    let server = limited(40);
    let alice = server.client("alice").unwrap();
    let target = Target::of(&server);
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(Socket::connect(&target, 2, "h2").unwrap());
    }
    check_others_are_served(&server, &alice);
    for host in 3..103 {
        silent.push(Socket::connect(&target, host, "http/1.1").unwrap());
    }
    check_others_are_served(&server, &alice);
    let evicted = counted(
        &server,
        "apiserver_ended_connections_total{reason=\"evicted\"}",
    );
    assert!(evicted >= 150, "{evicted} were evicted");
    let open = counted(&server, "apiserver_open_connections");
    assert!((1..=40).contains(&open), "{open} are open");
}

#[test]
fn heads_of_unknown_clients_take_little_memory() {
    let server = Server::start().unwrap();
    let alice = server.client("alice").unwrap();
    let target = Target::of(&server);
    // 22,000 times `accept-charset:` by its index, which is one byte.
    let indexed = vec![0x8f; 22_000];
    // The same within a list of 64 KiB; never indexed and short; a long name in Huffman code.
    let fitting = vec![0x8f; 1300];
    let literal = [0x10, 1, b'a', 0].repeat(1900);
    let huffman = [&[0x00, 0xff, 0xa1, 0x1e][..], &[0x8f; 4000], &[0]].concat();
    let floods = [
        Flood::new(16, 250, &indexed),
        Flood::new(16, 250, &fitting),
        Flood::new(16, 250, &literal),
        Flood::new(16, 100, &huffman),
        Flood::new(300, 3, &fitting),
        Flood::new(1000, 1, &fitting).without_end(),
        Flood::new(500, 1, &literal).without_end(),
    ];
    for flood in floods {
        let open = flood.send(&target);
        check_others_are_served(&server, &alice);
        drop(open);
        let peak = peak_mib(&server);
        assert!(peak < MOST_MEMORY_MIB, "{flood:?}: {peak} MiB");
    }
}

#[test]
fn heads_that_two_readers_could_understand_differently_are_refused() {
    #[track_caller]
    fn check(target: &Target, head: &str, expected: &str) {
        let mut socket = Socket::connect(target, 1, "http/1.1").unwrap();
        let head = head.replace('|', "\r\n");
        socket
            .write_all(format!("{head}\r\n\r\n").as_bytes())
            .unwrap();
        let answer = socket.read_answer();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {expected} ")),
            "{head}: {answer}"
        );
    }
    let server = Server::start().unwrap();
    let target = Target::of(&server);
    check(&target, "GET /livez HTTP/1.1|Host: a", "200");
    check(&target, "GET /livez HTTP/1.1", "400");
    check(&target, "GET /livez HTTP/1.1|Host: a|Host: a", "400");
    check(&target, "GET /livez HTTP/1.1|Host: a|Host: b", "400");
    check(&target, "GET /k8s/clusters/demo/version HTTP/1.1", "400");
    let posted = |fields: &str| format!("POST /livez HTTP/1.1|Host: a|{fields}||0|");
    for coding in ["gzip, chunked", "identity, chunked", "chunked, chunked"] {
        let fields = format!("Transfer-Encoding: {coding}");
        check(&target, &posted(&fields), "501");
    }
    let twice = "Transfer-Encoding: gzip|Transfer-Encoding: chunked";
    check(&target, &posted(twice), "501");
    check(&target, &posted("Transfer-Encoding: gzip"), "400");
    for fields in [
        "Content-Length: 5|Transfer-Encoding: chunked",
        "Transfer-Encoding: chunked|content-length: 5",
    ] {
        check(&target, &posted(fields), "400");
    }
    check(
        &target,
        "POST /livez HTTP/1.0|Host: a|Transfer-Encoding: chunked||0|",
        "400",
    );
}

#[test]
fn other_processes_do_not_read_the_memory_of_the_server() {
    let server = Server::start().unwrap();
    let process = format!("/proc/{}", server.pid());
    let limits = fs::read_to_string(format!("{process}/limits")).unwrap();
    let cores = limits.lines().find(|line| line.starts_with("Max core"));
    let words: Vec<_> = cores.unwrap().split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"]);
    // The files of a process that is not dumpable belong to root.
    assert_eq!(fs::metadata(process).unwrap().uid(), 0);
}
