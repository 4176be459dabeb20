use super::{Body, Chunked, Head};

#[track_caller]
fn check_head(input: &str, expect: Result<Option<Head>, &str>) {
    let parsed = Head::parse(input.as_bytes()).map_err(|error| error.to_string());
    assert_eq!(parsed, expect.map_err(str::to_owned), "{input:?}");
}

/// Decodes `input` in two pieces, cut at every position, and expects the same result each time: the
/// content, and the number of bytes that belong to the body.
#[track_caller]
fn check_body(body: Body, input: &str, content: &str, taken: usize) {
    for cut in 0..=input.len() {
        let mut body = body;
        let mut decoded = Vec::new();
        let mut sink = |data: &[u8]| decoded.extend_from_slice(data);
        let (first, second) = input.as_bytes().split_at(cut);
        let mut total = body.decode(first, &mut sink).unwrap();
        if total == cut {
            total += body.decode(second, &mut sink).unwrap();
        }
        assert_eq!(String::from_utf8(decoded).unwrap(), content, "cut at {cut}");
        assert_eq!(total, taken, "cut at {cut}");
        assert!(body.is_complete(), "cut at {cut}");
    }
}

#[track_caller]
fn check_broken(input: &str, message: &str) {
    let mut body = Body::Chunked(Chunked::START);
    let error = body.decode(input.as_bytes(), &mut |_| ()).unwrap_err();
    assert_eq!(error.to_string(), message, "{input:?}");
}

#[test]
fn heads_say_status_and_framing() {
    let length = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nContent-Length: 12\r\n\r\nhello";
    check_head(
        length,
        Ok(Some(Head {
            status: 200,
            body: Body::Length(12),
            size: length.len() - "hello".len(),
        })),
    );
    let chunked = "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n";
    check_head(
        chunked,
        Ok(Some(Head {
            status: 201,
            body: Body::Chunked(Chunked::START),
            size: chunked.len(),
        })),
    );
    let empty = "HTTP/1.1 204 No Content\r\n\r\n";
    check_head(
        empty,
        Ok(Some(Head {
            status: 204,
            body: Body::Length(0),
            size: empty.len(),
        })),
    );
}

#[test]
fn a_head_is_awaited_until_its_empty_line() {
    check_head("", Ok(None));
    check_head("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n", Ok(None));
}

#[test]
fn heads_that_leave_the_end_open_are_refused() {
    check_head(
        "HTTP/1.1 200 OK\r\n\r\n",
        Err("a response that ends with its connection"),
    );
    check_head(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
        Err("unknown transfer coding \" gzip\""),
    );
    check_head(
        "HTTP/1.0 200 OK\r\n\r\n",
        Err("not HTTP/1.1: \"HTTP/1.0 200 OK\""),
    );
    check_head(
        "HTTP/1.1 ok\r\n\r\n",
        Err("no status code: \"HTTP/1.1 ok\""),
    );
}

#[test]
fn bodies_of_known_length_end_there() {
    check_body(Body::Length(5), "hello", "hello", 5);
    check_body(Body::Length(5), "helloHTTP/1.1", "hello", 5);
    check_body(Body::Length(0), "", "", 0);
}

#[test]
fn chunks_are_joined() {
    let chunked = Body::Chunked(Chunked::START);
    check_body(chunked, "0\r\n\r\n", "", 5);
    check_body(chunked, "5\r\nhello\r\n0\r\n\r\n", "hello", 15);
    check_body(
        chunked,
        "5;name=value\r\nhello\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n000\r\nx: y\r\n\r\nHTTP/1.1",
        "helloabcdefghijklmnopqrstuvwxyz",
        "5;name=value\r\nhello\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n000\r\nx: y\r\n\r\n".len(),
    );
    check_body(chunked, "2\r\n\r\n\r\n0\r\n\r\n", "\r\n", 12);
}

#[test]
fn broken_chunks_are_refused() {
    check_broken("x\r\n", "the size of a chunk is not a hexadecimal number");
    check_broken("fffffffffffffffff\r\n", "the size of a chunk is too large");
    check_broken("1\r\nab", "a chunk is longer than it says");
}
