//! Documents for one caller, mounted at a path prefix.

use std::sync::Arc;

use apiserver::private_document::{self, Attachment, PrivateDocument};
use apiserver::request_context::RequestContext;
use async_trait::async_trait;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use machinery::status::Status;

use crate::fixture::{Answer, Call, Options, Server};

/// A document with the rest of the path and the name of the caller.
struct Echo;

#[async_trait]
impl PrivateDocument for Echo {
    async fn make(&self, cx: &RequestContext, path: &str) -> Result<Option<Attachment>, Status> {
        match path.strip_prefix("/files/").unwrap_or_default() {
            "" => Ok(None),
            "broken" => Err(Status::bad_request("broken")),
            name => Ok(Some(Attachment {
                media_type: "text/plain; charset=utf-8",
                file_name: "echo".to_owned(),
                content: format!("{name} for {}", cx.user.name).into(),
            })),
        }
    }
}

fn start() -> Server {
    Server::with(Options {
        mounts: vec![("/files/", private_document::service(Arc::new(Echo)))],
        ..Options::default()
    })
}

/// Returns the status code, the body and some headers of a response.
fn told(answer: &Answer) -> (u16, String, [Option<&str>; 4]) {
    let header = |name| answer.headers.get(name)?.to_str().ok();
    let headers = [CONTENT_TYPE, CONTENT_DISPOSITION, CACHE_CONTROL, ALLOW].map(header);
    (answer.code, answer.text().to_owned(), headers)
}

#[test]
fn a_document_is_a_file_that_nobody_keeps() {
    let server = start();
    for path in ["/files/a", "/files/a/b%2Fc"] {
        let answer = server.get(path);
        let name = path.strip_prefix("/files/").unwrap();
        assert_eq!(
            told(&answer),
            (
                200,
                format!("{name} for alice"),
                [
                    Some("text/plain; charset=utf-8"),
                    Some("attachment; filename=\"echo\""),
                    Some("no-store"),
                    None
                ]
            )
        );
    }
}

#[test]
fn paths_without_a_document_and_other_paths_are_not_found() {
    let server = start();
    for path in ["/files/", "/files", "/filesx/a", "/FILES/a"] {
        let answer = server.get(path);
        let page = "404 page not found\n";
        assert_eq!((answer.code, answer.text()), (404, page), "{path}");
    }
}

#[test]
fn a_refusal_is_a_status_that_nobody_keeps() {
    let server = start();
    let answer = server.get("/files/broken");
    let expected = (400, "BadRequest".to_owned(), "broken".to_owned());
    assert_eq!(answer.failure(), expected);
    assert_eq!(told(&answer).2[2], Some("no-store"));
}

#[test]
fn get_is_the_only_method() {
    let server = start();
    for method in ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let answer = server.send(Call::new(method, "/files/a"));
        let (code, _, headers) = told(&answer);
        assert_eq!((code, headers[3]), (405, Some("GET")), "{method}");
    }
}

#[test]
fn a_page_of_another_site_gets_no_document() {
    let server = start();
    for (site, code) in [
        ("cross-site", 403),
        ("same-site", 403),
        ("same-origin", 200),
        ("none", 200),
    ] {
        let answer = server.send(Call::get("/files/a").header("sec-fetch-site", site));
        assert_eq!(answer.code, code, "{site}");
    }
}
