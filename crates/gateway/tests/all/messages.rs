//! Messages that two parsers may read differently, and messages that must never reach a cluster.

use crate::cluster::Cluster;
use crate::world::World;

/// Sends raw bytes with a valid token. Returns the first status code and the requests that the
/// cluster received. `@` in the text is replaced with the `Host` and `Authorization` lines.
async fn exchange(text: &str) -> (Option<u16>, Vec<String>) {
    let world = World::start().await;
    let cluster = Cluster::answering(world.tls()).await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    let common = format!("Host: a\r\nAuthorization: Bearer {token}\r\n");
    let mut client = world.connect().await;
    client.send(&text.replace('@', &common)).await;
    let code = client.head().await;
    let code = code.map(|head| head.split(' ').nth(1).unwrap().parse().unwrap());
    // By the end of the connection the gateway has processed everything that was sent.
    client.rest().await;
    let requests: Vec<String> = cluster
        .seen()
        .concat()
        .lines()
        .filter(|line| line.ends_with(" HTTP/1.1"))
        .map(str::to_owned)
        .collect();
    (code, requests)
}

#[tokio::test]
async fn a_message_without_one_clear_end_is_refused() {
    let smuggled = "GET /k8s/clusters/c-1/smuggled HTTP/1.1\r\n\r\n";
    for headers in [
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 5,6\r\n",
        "Transfer-Encoding : chunked\r\n",
        "X-A: b\r\n folded: c\r\n",
        "Content-Length: 0x5\r\n",
    ] {
        let text =
            format!("POST /k8s/clusters/c-1/api HTTP/1.1\r\n@{headers}\r\n0\r\n\r\n{smuggled}");
        let (code, seen) = exchange(&text).await;
        assert_eq!((code, seen), (Some(400), vec![]), "{headers:?}");
    }
}

#[tokio::test]
async fn a_message_for_no_host_or_two_is_refused() {
    for hosts in ["", "Host: a\r\nHost: a\r\n", "Host: a\r\nHost: b\r\n"] {
        let text = format!("GET /k8s/clusters/c-1/api HTTP/1.1\r\n{hosts}@\r\n");
        let text = match hosts {
            // Without the `Host` of `@`.
            "" => text.replace('@', ""),
            _ => text,
        };
        assert_eq!(exchange(&text).await, (Some(400), vec![]), "{hosts:?}");
    }
}

#[tokio::test]
async fn a_coding_beside_chunked_is_refused() {
    for coding in [
        "gzip, chunked",
        "identity, chunked",
        "gzip\r\nTransfer-Encoding: chunked",
        "chunked, chunked",
    ] {
        let text = format!(
            "POST /k8s/clusters/c-1/api HTTP/1.1\r\n@Transfer-Encoding: {coding}\r\n\r\n0\r\n\r\n\
             GET /k8s/clusters/c-1/smuggled HTTP/1.1\r\n@\r\n"
        );
        let (code, seen) = exchange(&text).await;
        assert!(matches!(code, Some(400 | 501)), "{coding} {code:?}");
        assert_eq!(seen, [""; 0], "{coding}");
    }
}

#[tokio::test]
async fn a_malformed_chunk_is_the_clients_mistake() {
    let world = World::start().await;
    let cluster = Cluster::answering(world.tls()).await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    let authorization = format!("Authorization: Bearer {token}");
    let headers = [authorization.as_str(), "Transfer-Encoding: chunked"];
    let mut client = world.send("POST /k8s/clusters/c-1/a", &headers).await;
    client.send("2\r\nab\r\nnonsense\r\n").await;
    let message = "the request body is malformed or incomplete";
    assert_eq!(client.answer().await.summary(), (400, message.to_owned()));
}

#[tokio::test]
async fn a_length_with_a_coding_is_refused() {
    // Two framings can be read differently: the message is rejected, and nothing after it is read
    // (RFC 9112, section 6.3).
    for framing in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
    ] {
        let text = format!(
            "POST /k8s/clusters/c-1/api HTTP/1.1\r\n@{framing}\r\n0\r\n\r\n\
             GET /k8s/clusters/c-1/smuggled HTTP/1.1\r\n@\r\n"
        );
        let (code, seen) = exchange(&text).await;
        assert_eq!((code, seen.as_slice()), (Some(400), &[][..]));
    }
}

#[tokio::test]
async fn methods_for_proxies_and_echoes_are_refused() {
    for method in ["TRACE", "CONNECT"] {
        let line = format!("{method} /k8s/clusters/c-1/api HTTP/1.1\r\n@Connection: close\r\n\r\n");
        let (code, seen) = exchange(&line).await;
        assert!(matches!(code, Some(400 | 405)), "{method} {code:?}");
        assert_eq!(seen, [""; 0], "{method}");
    }
}

#[tokio::test]
async fn bodies_are_framed_anew() {
    let world = World::start().await;
    let cluster = Cluster::answering(world.tls()).await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    let authorization = format!("Authorization: Bearer {token}");
    let headers = [authorization.as_str(), "Content-Length: 3"];
    let mut client = world.send("POST /k8s/clusters/c-1/a", &headers).await;
    client.send("abc").await;
    assert_eq!(client.answer().await.code, 200);
    let headers = [authorization.as_str(), "Transfer-Encoding: chunked"];
    let mut client = world.send("POST /k8s/clusters/c-1/b", &headers).await;
    client.send("2;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\n").await;
    assert_eq!(client.answer().await.code, 200);
    let seen = cluster.only();
    let (first, second) = seen.split_once("POST /b").unwrap();
    assert!(first.contains("content-length: 3\r\n\r\nabc"), "{first}");
    assert!(second.ends_with("0\r\n\r\n"), "{second}");
    assert!(!second.contains("x=y"), "{second}");
}
