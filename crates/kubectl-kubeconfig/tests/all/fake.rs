//! A fake server that is also an OpenID Connect provider. Tests configure its answers and read the
//! requests that it received.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use certificates::{Authority, Names, Validity};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// The configuration and the observations of the fake.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// `METHOD PATH` of the received requests, in order.
    pub(crate) asked: Vec<String>,
    /// Bearer tokens of alice.
    pub(crate) logins: Vec<String>,
    /// Issued tokens that are valid.
    pub(crate) tokens: Vec<String>,
    /// True if the record exists.
    pub(crate) has_record: bool,
    /// True if the login document names the fake as the provider.
    pub(crate) has_provider: bool,
    /// The refresh token that the provider accepts.
    pub(crate) refresh_token: Option<String>,
    /// The token that the provider was asked to revoke.
    pub(crate) revoked: Option<String>,
    /// True if the provider returns a new refresh token with each ID token.
    pub(crate) rotates: bool,
    /// True if the user denies the login at the provider.
    pub(crate) refuses: bool,
    /// The expiry of ID tokens, in seconds since 1970.
    pub(crate) id_token_end: i64,
    /// The authentication that the provider requires of the client. `None` for a public client.
    pub(crate) client_auth: Option<ClientAuth>,
    /// The address for the browser, if it is not that of the fake.
    pub(crate) authorization_endpoint: Option<&'static str>,
    /// The user of the ID tokens.
    pub(crate) subject: &'static str,
    /// True if the provider answers 200 with its errors.
    pub(crate) answers_200: bool,
    /// The login document that replaces the usual one.
    pub(crate) login_document: Option<Value>,
    /// The URL that the login document contains. Empty for the URL of the fake.
    pub(crate) published_url: String,
    /// True if ID tokens from device codes and refreshed ID tokens have the nonce of the login.
    pub(crate) keeps_nonces: bool,
    /// True if the login document accepts ID tokens that are not bound to the server.
    pub(crate) unbound: bool,
    /// The bearer token and the binding of each authenticated request.
    pub(crate) shown: Vec<[String; 2]>,
    /// Changes to the fields of the Tokens that the fake issues.
    pub(crate) token_change: Value,
    /// The file of a created record, and the name that replaces the usual one.
    pub(crate) file: String,
    pub(crate) record_name: Option<String>,
    /// The reason for which the fake refuses to issue a token.
    pub(crate) refusal: Option<String>,
    /// The state, the nonce and the challenge of the login in a browser.
    attempt: [String; 3],
    /// The number of polls before the user types the device code.
    pub(crate) pending: usize,
    given: usize,
}

/// The authentication of a client.
#[derive(Debug)]
pub(crate) struct ClientAuth {
    /// The method, as the discovery document names it.
    pub(crate) method: &'static str,
    /// The secret, as it is sent.
    pub(crate) secret: &'static str,
}

/// The fake, which runs until it is dropped.
pub(crate) struct Fake {
    address: SocketAddr,
    authority: String,
    folder: tempfile::TempDir,
    state: Arc<Mutex<State>>,
    end: Option<oneshot::Sender<()>>,
}

impl Fake {
    pub(crate) fn start() -> Self {
        let (tls, authority) = tls();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.crt"), &authority).unwrap();
        let state = Arc::new(Mutex::new(State {
            has_record: true,
            // The year 2099.
            id_token_end: 4_070_908_800,
            keeps_nonces: true,
            token_change: json!({}),
            ..State::default()
        }));
        let (end, ended) = oneshot::channel::<()>();
        let (sender, receiver) = std::sync::mpsc::channel();
        let fake = Arc::new(Handler {
            state: Arc::clone(&state),
            authority: authority.clone(),
        });
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = serve(listener, tls, fake) => (),
                    _ = ended => (),
                }
            });
        });
        Self {
            address: receiver.recv().unwrap(),
            authority,
            folder,
            state,
            end: Some(end),
        }
    }

    /// Stops the fake. Afterwards connections to its address are refused.
    pub(crate) fn stop(&mut self) {
        self.end = None;
        while std::net::TcpStream::connect(self.address).is_ok() {
            thread::yield_now();
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(crate) fn authority_file(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The CA of the fake, in PEM.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// The CA of the fake, as kubeconfig files contain it.
    pub(crate) fn authority_data(&self) -> String {
        STANDARD.encode(&self.authority)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Returns the number of requests with this method and path.
    pub(crate) fn asked(&self, what: &str) -> usize {
        let state = self.state();
        state.asked.iter().filter(|asked| *asked == what).count()
    }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, fake: Arc<Handler>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (tls, fake) = (tls.clone(), Arc::clone(&fake));
        let host = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else {
                return;
            };
            let service = service_fn(|request| fake.answer(request, host));
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn tls() -> (TlsAcceptor, String) {
    let validity = Validity {
        not_before: "2020-01-01T00:00:00Z".parse().unwrap(),
        not_after: "2099-01-01T00:00:00Z".parse().unwrap(),
    };
    let authority = Authority::create("fake", validity).unwrap();
    let mut names = Names::default();
    names.add("127.0.0.1");
    let pair = authority.serving("fake", &names, validity).unwrap();
    let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(pair.key.expose().as_bytes()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    (
        TlsAcceptor::from(Arc::new(config)),
        authority.certificate_pem().to_owned(),
    )
}

struct Handler {
    state: Arc<Mutex<State>>,
    authority: String,
}

type Given = (StatusCode, Value);

impl Handler {
    async fn answer(
        &self,
        request: Request<Incoming>,
        host: SocketAddr,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let authorization = head.headers.get(header::AUTHORIZATION);
        let authorization = authorization.map(|it| it.to_str().unwrap());
        let bearer = authorization.and_then(|it| it.strip_prefix("Bearer "));
        let basic = authorization.and_then(|it| it.strip_prefix("Basic "));
        let binding = head.headers.get("kubeconfig-login-binding");
        let binding = binding.map_or("", |it| it.to_str().unwrap());
        let mut state = self.state.lock().unwrap();
        if bearer.is_some() {
            let shown = [bearer.unwrap_or_default(), binding].map(str::to_owned);
            state.shown.push(shown);
        }
        state
            .asked
            .push(format!("{} {}", head.method, head.uri.path()));
        let asked = state.asked.last().unwrap().clone();
        let query = head.uri.query().unwrap_or_default();
        if asked == "GET /authorize" {
            return Ok(state.authorize(query));
        }
        let url = format!("https://{host}");
        let (status, answer) = match asked.as_str() {
            "GET /.well-known/kubeconfig-login" => (StatusCode::OK, self.login(&state, &url)),
            "GET /idp/.well-known/openid-configuration" => (StatusCode::OK, state.metadata(&url)),
            "POST /token" | "POST /device" | "POST /revoke"
                if !state.authenticates(basic, &form(&body)) =>
            {
                (
                    StatusCode::UNAUTHORIZED,
                    json!({ "error": "invalid_client" }),
                )
            }
            "POST /token" => state.token(&form(&body), &url),
            "POST /revoke" => {
                state.revoked = Some(form(&body)("token"));
                (StatusCode::OK, json!({}))
            }
            "POST /device" => {
                let nonce = form(&body)("nonce");
                state.attempt[1] = if state.keeps_nonces {
                    nonce
                } else {
                    String::new()
                };
                (StatusCode::OK, device())
            }
            _ => state.api(&asked, bearer.unwrap_or_default(), &body),
        };
        Ok(Response::builder()
            .status(status)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(answer.to_string()))
            .unwrap())
    }

    fn login(&self, state: &State, url: &str) -> Value {
        if let Some(document) = &state.login_document {
            return document.clone();
        }
        if !state.has_provider {
            return json!({});
        }
        let published = match state.published_url.as_str() {
            "" => url,
            published => published,
        };
        json!({ "server": published, "oidc": {
            "issuer": format!("{url}/idp"),
            "clientID": "kubectl",
            "scopes": ["openid"],
            "certificateAuthorityData": STANDARD.encode(&self.authority),
            "unbound": state.unbound,
        }})
    }
}

impl State {
    /// Handles the requests to the API of the server.
    fn api(&mut self, asked: &str, bearer: &str, body: &[u8]) -> Given {
        if asked.ends_with("/version") {
            let counts = self.tokens.iter().any(|token| token == bearer);
            let status = if counts {
                StatusCode::OK
            } else {
                StatusCode::UNAUTHORIZED
            };
            return (status, json!({}));
        }
        if !self.logins.iter().any(|login| login == bearer) {
            return (StatusCode::UNAUTHORIZED, status("Unauthorized"));
        }
        match asked {
            "POST /apis/authentication.k8s.io/v1/selfsubjectreviews" => (
                StatusCode::CREATED,
                json!({ "status": { "userInfo": { "username": "alice" } } }),
            ),
            "POST /apis/ext.cattle.io/v1/tokens" => self.create(body),
            "POST /apis/ext.cattle.io/v1/kubeconfigs" => {
                let record = json!({
                    "metadata": { "name": self.record_name.as_deref().unwrap_or("kubeconfig-abcde") },
                    "status": { "value": self.file },
                });
                (StatusCode::CREATED, record)
            }
            "DELETE /apis/ext.cattle.io/v1/kubeconfigs/kubeconfig-abcde" => {
                (StatusCode::OK, status(""))
            }
            _ if asked.starts_with("DELETE /apis/ext.cattle.io/v1/tokens/") => {
                let number = asked.rsplit('-').next().unwrap();
                self.tokens
                    .retain(|token| *token != format!("t0ken-{number}"));
                (StatusCode::OK, status(""))
            }
            _ => (StatusCode::NOT_FOUND, status("no such thing")),
        }
    }

    fn create(&mut self, body: &[u8]) -> Given {
        let token: Value = serde_json::from_slice(body).unwrap();
        let spec = &token["spec"];
        let is_known = spec["kubeconfigName"] == "kubeconfig-abcde" && spec["clusterName"] == "c-1";
        if let Some(refusal) = &self.refusal {
            return (StatusCode::FORBIDDEN, status(refusal));
        }
        if !self.has_record || !is_known {
            let message = "kubeconfigs.ext.cattle.io \"kubeconfig-abcde\" not found";
            return (StatusCode::NOT_FOUND, status(message));
        }
        self.given += 1;
        let value = format!("t0ken-{}", self.given);
        self.tokens.push(value.clone());
        let mut answer = json!({
            "metadata": { "name": format!("token-{}", self.given) },
            "spec": spec,
            "status": { "bearerToken": value, "expiresAt": token_end() },
        });
        for part in ["spec", "status"] {
            let changes = self.token_change[part].as_object().cloned();
            for (field, change) in changes.unwrap_or_default() {
                answer[part][&field] = change;
            }
        }
        (StatusCode::CREATED, answer)
    }

    /// Handles the authorization request: a user who answers at once, and the redirect.
    fn authorize(&mut self, query: &str) -> Response<Full<Bytes>> {
        let query = form(query.as_bytes());
        assert_eq!(query("code_challenge_method"), "S256");
        assert_eq!(query("scope"), "openid offline_access");
        self.attempt = [query("state"), query("nonce"), query("code_challenge")];
        let said = if self.refuses {
            "error=access_denied"
        } else {
            "code=c0de"
        };
        let location = format!("{}?{said}&state={}", query("redirect_uri"), query("state"));
        Response::builder()
            .status(StatusCode::FOUND)
            .header(header::LOCATION, location)
            .body(Full::default())
            .unwrap()
    }

    fn metadata(&self, url: &str) -> Value {
        let mut metadata = json!({
            "issuer": format!("{url}/idp"),
            "authorization_endpoint": format!("{url}/authorize"),
            "token_endpoint": format!("{url}/token"),
            "device_authorization_endpoint": format!("{url}/device"),
            "revocation_endpoint": format!("{url}/revoke"),
            "scopes_supported": ["openid", "offline_access"],
        });
        if let Some(address) = self.authorization_endpoint {
            metadata["authorization_endpoint"] = json!(address);
        }
        if let Some(ClientAuth { method, .. }) = &self.client_auth {
            metadata["token_endpoint_auth_methods_supported"] = json!([method]);
        }
        metadata
    }

    /// Returns whether a request authenticates the client in the required way.
    fn authenticates(&self, basic: Option<&str>, form: &dyn Fn(&str) -> String) -> bool {
        let sent = match basic {
            Some(basic) => ("client_secret_basic", basic.to_owned()),
            None if form("client_secret").is_empty() => ("none", form("client_id")),
            None => {
                let pair = format!("{}:{}", form("client_id"), form("client_secret"));
                ("client_secret_post", STANDARD.encode(pair))
            }
        };
        match &self.client_auth {
            Some(auth) => {
                sent == (
                    auth.method,
                    STANDARD.encode(format!("kubectl:{}", auth.secret)),
                )
            }
            None => sent == ("none", "kubectl".to_owned()),
        }
    }

    /// Handles the token endpoint.
    fn token(&mut self, form: &dyn Fn(&str) -> String, url: &str) -> Given {
        let refused = |error: &str| {
            let status = match self.answers_200 {
                true => StatusCode::OK,
                false => StatusCode::BAD_REQUEST,
            };
            (status, json!({ "error": error }))
        };
        match form("grant_type").as_str() {
            "authorization_code" => {
                let hash = aws_lc_rs::digest::digest(
                    &aws_lc_rs::digest::SHA256,
                    form("code_verifier").as_bytes(),
                );
                if form("code") != "c0de" || URL_SAFE_NO_PAD.encode(hash) != self.attempt[2] {
                    return refused("invalid_grant");
                }
            }
            "refresh_token" if Some(form("refresh_token")) == self.refresh_token => (),
            "refresh_token" => return refused("invalid_grant"),
            _ if self.pending > 0 => {
                self.pending -= 1;
                return refused("authorization_pending");
            }
            _ => assert_eq!(form("device_code"), "d3vice"),
        }
        let is_refresh = form("grant_type") == "refresh_token";
        let nonce = match is_refresh && !self.keeps_nonces {
            true => String::new(),
            false => self.attempt[1].clone(),
        };
        let claims = json!({
            "iss": format!("{url}/idp"),
            "sub": self.subject,
            "aud": "kubectl",
            "exp": self.id_token_end,
            "nonce": nonce,
            "jti": self.logins.len(),
        });
        let id_token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
        self.logins.push(id_token.clone());
        if self.rotates {
            self.refresh_token = self.refresh_token.take().map(|token| token + "+");
        }
        let answer = json!({
            "access_token": "acc3ss", "token_type": "Bearer",
            "id_token": id_token, "refresh_token": self.refresh_token,
        });
        (StatusCode::OK, answer)
    }
}

/// The expiry of issued tokens: one hour from now, in whole seconds.
fn token_end() -> String {
    let now = machinery::time::Clock::now(&machinery::time::SystemClock);
    let end = now + jiff::SignedDuration::from_hours(1);
    machinery::time::rfc3339(end)
}

fn device() -> Value {
    json!({
        "device_code": "d3vice",
        "user_code": "WDJB-MJHT",
        "verification_uri": "https://example.com/device",
        "expires_in": 600,
        "interval": 1,
    })
}

fn status(message: &str) -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "message": message })
}

fn form(text: &[u8]) -> impl Fn(&str) -> String {
    move |name| {
        let mut pairs = form_urlencoded::parse(text);
        let found = pairs.find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    }
}
