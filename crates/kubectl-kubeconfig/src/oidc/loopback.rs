//! The listener on 127.0.0.1 that the browser is redirected to with the code (RFC 8252, section
//! 7.3).
//!
//! Any page in any browser, and any program on the machine, can reach it. It accepts only a request
//! with the state of this login. It rejects all other requests and keeps waiting.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use subtle::ConstantTimeEq;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::printable;
use crate::secret::Secret;

const PATH: &str = "/callback";

/// Timeout of a connection. A browser opens some connections before it needs them.
const CONNECTION: Duration = Duration::from_secs(60);

/// Time for the browser to read the response.
const LAST_WORD: Duration = Duration::from_secs(2);

/// The maximum number of concurrent connections, more than a browser opens.
const CONNECTIONS: usize = 32;

/// The bound listener.
pub(super) struct Loopback {
    listener: TcpListener,
    redirect_uri: String,
}

/// The parameters that a request must have to belong to this login.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// The state that was sent in the authorization request.
    pub(super) state: String,
    /// The issuer of the provider.
    pub(super) issuer: String,
}

type Outcome = Result<Secret, String>;

impl Loopback {
    /// Binds a port, or a free port for 0.
    pub(super) async fn bind(port: u16) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
        let address = listener.local_addr().context("the listener has no port")?;
        Ok(Self {
            listener,
            redirect_uri: format!("http://{address}{PATH}"),
        })
    }

    /// Returns the address that the provider redirects the browser to.
    pub(super) fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// Waits for the browser, and returns the code of its request.
    ///
    /// # Errors
    /// Fails if the provider refuses the login, or if the browser does not come within `limit`.
    pub(super) async fn code(self, expected: Expected, limit: Duration) -> Result<Secret> {
        let (sender, mut receiver) = mpsc::channel(1);
        let mut connections = JoinSet::new();
        let serve = async {
            loop {
                if connections.len() >= CONNECTIONS {
                    connections.join_next().await;
                }
                let Ok((stream, _)) = self.listener.accept().await else {
                    bail!("the port for the redirect of the browser is closed");
                };
                connections.spawn(serve(stream, expected.clone(), sender.clone()));
            }
        };
        let outcome = tokio::select! {
            outcome = timeout(limit, receiver.recv()) => outcome,
            result = serve => return result,
        };
        // The first connection that ends is the one that carries the response.
        let _ = timeout(LAST_WORD, connections.join_next()).await;
        match outcome {
            Ok(Some(Ok(code))) => Ok(code),
            Ok(Some(Err(refusal))) => Err(anyhow!("the provider rejected the login: {refusal}")),
            Ok(None) | Err(_) => Err(anyhow!("no login within {} minutes", limit.as_secs() / 60)),
        }
    }
}

async fn serve(stream: TcpStream, expected: Expected, sender: mpsc::Sender<Outcome>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let outcome = read(request.method(), request.uri(), &expected);
        let (status, text) = match &outcome {
            None => (
                StatusCode::BAD_REQUEST,
                "This is not the response to a login.\n",
            ),
            Some(Ok(_)) => (
                StatusCode::OK,
                "Done. You can close this page; the terminal shows your user name.\n",
            ),
            Some(Err(_)) => (
                StatusCode::OK,
                "The login was rejected. The terminal shows the reason.\n",
            ),
        };
        // Only the first request of this login is accepted.
        let sent = outcome.is_none_or(|outcome| sender.try_send(outcome).is_ok());
        let status = if sent { status } else { StatusCode::CONFLICT };
        async move { response(status, text) }
    });
    let mut http = http1::Builder::new();
    let connection = http
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // A closed connection is not an error of this program.
    let _ = timeout(CONNECTION, connection).await;
}

fn response(status: StatusCode, text: &'static str) -> Result<Response<Full<Bytes>>, http::Error> {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::REFERRER_POLICY, "no-referrer")
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .body(Full::from(text))
}

/// Parses a request. Returns `None` if it does not belong to the login.
fn read(method: &Method, uri: &http::Uri, expected: &Expected) -> Option<Outcome> {
    if method != Method::GET || uri.path() != PATH {
        return None;
    }
    let query = uri.query().unwrap_or_default();
    let value = |name: &str| {
        let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
        let value = values.next().map(|(_, value)| value.into_owned());
        // A repeated parameter is ignored.
        value.filter(|_| values.next().is_none())
    };
    let state = value("state").unwrap_or_default();
    if !bool::from(state.as_bytes().ct_eq(expected.state.as_bytes())) {
        return None;
    }
    // If the provider sends its issuer, it must be the expected one (RFC 9207).
    if value("iss").is_some_and(|issuer| issuer != expected.issuer) {
        return None;
    }
    match (value("code"), value("error")) {
        (Some(code), None) => Some(Ok(Secret::new(code))),
        (None, Some(error)) => {
            let description = value("error_description").unwrap_or_default();
            Some(Err(printable(format!("{error} {description}").trim())))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> Expected {
        Expected {
            state: "s".to_owned(),
            issuer: "https://idp".to_owned(),
        }
    }

    #[test]
    fn only_the_answer_to_this_login_is_listened_to() {
        let code = |text: &str| Some(Ok(Secret::new(text.to_owned())));
        for (method, uri, found) in [
            (Method::GET, "/callback?code=c&state=s", code("c")),
            (
                Method::GET,
                "/callback?state=s&code=c%2F&iss=https://idp",
                code("c/"),
            ),
            (
                Method::GET,
                "/callback?state=s&error=access_denied",
                Some(Err("access_denied".to_owned())),
            ),
            (
                Method::GET,
                "/callback?state=s&error=e&error_description=a%1b%5B2J%0Ab",
                Some(Err("e a[2J b".to_owned())),
            ),
            (Method::GET, "/callback?code=c", None),
            (Method::GET, "/callback?code=c&state=", None),
            (Method::GET, "/callback?code=c&state=other", None),
            (Method::GET, "/callback?code=c&state=s&state=s", None),
            (Method::GET, "/callback?error=e&state=other", None),
            (
                Method::GET,
                "/callback?code=c&state=s&iss=https://evil",
                None,
            ),
            (Method::GET, "/callback?state=s", None),
            (Method::GET, "/callback?state=s&code=c&error=e", None),
            (Method::GET, "/?code=c&state=s", None),
            (Method::POST, "/callback?code=c&state=s", None),
        ] {
            assert_eq!(
                read(&method, &uri.parse().unwrap(), &expected()),
                found,
                "{method} {uri}"
            );
        }
    }

    async fn get(uri: &str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let address = uri.strip_prefix("http://").unwrap();
        let (authority, path) = address.split_once('/').unwrap();
        let mut stream = TcpStream::connect(authority).await.unwrap();
        let request = format!("GET /{path} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.lines().next().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn strangers_and_idle_connections_do_not_end_the_login() {
        let loopback = Loopback::bind(0).await.unwrap();
        let uri = loopback.redirect_uri().to_owned();
        let browser = async {
            let idle = TcpStream::connect(
                uri.strip_prefix("http://")
                    .unwrap()
                    .split('/')
                    .next()
                    .unwrap(),
            );
            let _idle = idle.await.unwrap();
            assert_eq!(
                get(&format!("{uri}?code=evil&state=guess")).await,
                "HTTP/1.1 400 Bad Request"
            );
            assert_eq!(
                get(&format!("{uri}?code=c&state=s")).await,
                "HTTP/1.1 200 OK"
            );
        };
        let wait = loopback.code(expected(), Duration::from_secs(60));
        let (code, ()) = tokio::join!(wait, browser);
        assert_eq!(code.unwrap().expose(), "c");
    }
}
