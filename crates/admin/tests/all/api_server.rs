//! A fake API server over real TLS. It stores objects of any kind without rules, and a test can set
//! the answer for a method and path. It also records the requests.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use certificates::{Authority, Names, Validity};
use http::{Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::Client;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// The time of the fake in its answers.
pub(crate) const DATE: &str = "Fri, 02 Jan 2026 03:04:05 GMT";

/// The creation time of every object.
pub(crate) const CREATED: &str = "2026-01-01T00:00:00Z";

/// An answer: a code and a body.
pub(crate) type Answer = (u16, Value);

type Responder = Arc<dyn Fn(&Asked) -> Answer + Send + Sync>;

/// The fake, which runs until it is dropped.
pub(crate) struct ApiServer {
    address: SocketAddr,
    ca: String,
    folder: TempDir,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    /// Objects by their path.
    objects: BTreeMap<String, Value>,
    /// Answers by method and path.
    answers: HashMap<String, Responder>,
    /// The dates of answers by path, if they differ from [`DATE`].
    dates: HashMap<String, &'static str>,
    /// The status that an object gets when it is written, by its path.
    statuses: HashMap<String, Value>,
    asked: Vec<Asked>,
    version: u64,
}

/// A request that was received.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    /// The method and the path with its query.
    pub(crate) line: String,
    /// The value of the header `Authorization`.
    pub(crate) authorization: String,
    pub(crate) body: Value,
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ApiServer {
    /// Starts a fake of version v1.36.3 without objects.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tls, ca) = identity();
        let state = Arc::<Mutex<State>>::default();
        let task = tokio::spawn(serve(listener, tls, Arc::clone(&state)));
        Self {
            address,
            ca,
            folder: tempfile::tempdir().unwrap(),
            state,
            task,
        }
    }

    /// Stops the fake. Afterwards connections to its address are refused.
    pub(crate) async fn stop(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Returns the PEM of its certificate authority.
    pub(crate) fn ca(&self) -> &str {
        &self.ca
    }

    /// Returns the authority as in a kubeconfig file.
    pub(crate) fn ca_data(&self) -> String {
        STANDARD.encode(&self.ca)
    }

    /// Writes a kubeconfig file for an administrator, and returns its path.
    pub(crate) fn kubeconfig(&self) -> String {
        self.file("kubeconfig", &self.kubeconfig_text())
    }

    fn kubeconfig_text(&self) -> String {
        let file = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "admin",
            "clusters": [{
                "name": "it",
                "cluster": { "server": self.url(), "certificate-authority-data": self.ca_data() },
            }],
            "users": [{ "name": "admin", "user": { "token": "admin-token" } }],
            "contexts": [{ "name": "admin", "context": { "cluster": "it", "user": "admin" } }],
        });
        file.to_string()
    }

    /// Writes a file, and returns its path.
    pub(crate) fn file(&self, name: &str, content: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    /// Returns a client of an administrator.
    pub(crate) async fn client(&self) -> Client {
        let file = kube::config::Kubeconfig::from_yaml(&self.kubeconfig_text()).unwrap();
        let config = kube::Config::from_custom_kubeconfig(file, &Default::default()).await;
        Client::try_from(config.unwrap()).unwrap()
    }

    /// Sets the answer for a method and path.
    pub(crate) fn answer(&self, what: &str, code: u16, body: Value) {
        self.respond(what, move |_| (code, body.clone()));
    }

    /// Sets an answer that depends on the request.
    pub(crate) fn respond(
        &self,
        what: &str,
        answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) {
        let mut state = self.state.lock().unwrap();
        state.answers.insert(what.to_owned(), Arc::new(answer));
    }

    /// Sets the answer for a method and path to an error with this message.
    pub(crate) fn refuse(&self, what: &str, code: u16, message: &str) {
        self.answer(what, code, status(code, message));
    }

    /// Removes the answer for a method and path.
    pub(crate) fn forget(&self, what: &str) {
        self.state.lock().unwrap().answers.remove(what);
    }

    /// Sets the date of answers for a path. An empty one is not sent as a date.
    pub(crate) fn date(&self, path: &str, date: &'static str) {
        let mut state = self.state.lock().unwrap();
        state.dates.insert(path.to_owned(), date);
    }

    /// Sets the status that the object at a path gets when it is written.
    pub(crate) fn report(&self, path: &str, status: Value) {
        let mut state = self.state.lock().unwrap();
        state.statuses.insert(path.to_owned(), status);
    }

    /// Stores an object as it is, apart from the metadata that an API server sets.
    pub(crate) fn put(&self, path: &str, object: Value) {
        self.state.lock().unwrap().store(path, object);
    }

    /// Changes a stored object.
    pub(crate) fn change(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut state = self.state.lock().unwrap();
        change(state.objects.get_mut(path).unwrap());
    }

    pub(crate) fn remove(&self, path: &str) {
        let removed = self.state.lock().unwrap().objects.remove(path);
        assert!(removed.is_some(), "{path}");
    }

    /// Returns a stored object.
    pub(crate) fn object(&self, path: &str) -> Value {
        let state = self.state.lock().unwrap();
        state.objects.get(path).unwrap_or(&Value::Null).clone()
    }

    /// Returns the paths of all objects.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.state.lock().unwrap().objects.keys().cloned().collect()
    }

    /// Returns the requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.lock().unwrap().asked.clone()
    }

    /// Returns the requests so far that are not reads.
    pub(crate) fn writes(&self) -> Vec<String> {
        let asked = self.asked().into_iter().map(|asked| asked.line);
        asked.filter(|line| !line.starts_with("GET ")).collect()
    }
}

impl State {
    fn answer(&mut self, method: &Method, uri: &Uri, asked: &Asked) -> Answer {
        let (path, body) = (uri.path(), &asked.body);
        if let Some(answer) = self.answers.get(&format!("{method} {path}")) {
            return answer(asked);
        }
        let query = uri.query().unwrap_or_default();
        let is_dry_run = query.contains("dryRun");
        match method.as_str() {
            "GET" => self.read(path, query),
            "POST" => {
                let name = body["metadata"]["name"].as_str().unwrap();
                self.write(&format!("{path}/{name}"), body, 201)
            }
            "PATCH" if is_dry_run => (200, body.clone()),
            "PATCH" => {
                let mut object = self.objects.get(path).cloned().unwrap_or(json!({}));
                merge(&mut object, body);
                self.write(path, &object, 200)
            }
            "PUT" => self.write(path, body, 200),
            "DELETE" => match self.objects.remove(path) {
                Some(_) => (200, json!({ "kind": "Status", "status": "Success" })),
                None => not_found(path),
            },
            other => panic!("{other} {path}"),
        }
    }

    fn read(&self, path: &str, query: &str) -> Answer {
        if let Some(object) = self.objects.get(path) {
            return (200, object.clone());
        }
        match path {
            "/version" => return (200, version()),
            "/apis" => return (200, groups(&[])),
            _ if !is_collection(path) => return not_found(path),
            _ => {}
        }
        let inside = |at: &String| {
            at.rsplit_once('/')
                .is_some_and(|(folder, _)| folder == path)
        };
        let items = self.objects.iter().filter(|(at, _)| inside(at));
        let items = items.filter(|(_, object)| is_selected(object, query));
        let items: Vec<&Value> = items.map(|(_, object)| object).collect();
        (200, list(&items))
    }

    /// Stores an object. Refuses it if it is from another version than the stored one.
    fn write(&mut self, path: &str, object: &Value, code: u16) -> Answer {
        let stored = self.objects.get(path);
        let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
        let is_outdated = match stored {
            Some(stored) => !version(object).is_null() && version(object) != version(stored),
            None => false,
        };
        if is_outdated || (code == 201 && stored.is_some()) {
            return (409, status(409, "the object has been modified"));
        }
        if stored == Some(object) {
            return (code, object.clone());
        }
        self.store(path, object.clone());
        (code, self.objects[path].clone())
    }

    fn store(&mut self, path: &str, mut object: Value) {
        self.version += 1;
        if let Some(status) = self.statuses.get(path) {
            object["status"] = status.clone();
        }
        let (_, name) = path.rsplit_once('/').unwrap();
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = self.version.to_string().into();
        for (field, value) in [
            ("name", name.to_owned()),
            ("uid", format!("uid-{name}")),
            ("creationTimestamp", CREATED.to_owned()),
        ] {
            if metadata[field].is_null() {
                metadata[field] = value.into();
            }
        }
        self.objects.insert(path.to_owned(), object);
    }
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "36", "gitVersion": "v1.36.3", "gitCommit": "", "gitTreeState": "",
        "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
    })
}

/// Returns the API groups of a server, each with its version v1.
pub(crate) fn groups(names: &[&str]) -> Value {
    let group = |name: &&str| {
        let version = json!({ "groupVersion": format!("{name}/v1"), "version": "v1" });
        json!({ "name": name, "versions": [version], "preferredVersion": version })
    };
    let groups: Vec<Value> = names.iter().map(group).collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
}

/// Returns a list.
pub(crate) fn list(items: &[&Value]) -> Value {
    json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": items })
}

/// Returns whether an object has the label or the field that a query selects.
fn is_selected(object: &Value, query: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).all(|(name, selector)| {
        let place = match name.as_ref() {
            "labelSelector" => &object["metadata"]["labels"],
            "fieldSelector" => object,
            _ => return true,
        };
        let (key, value) = selector.split_once('=').unwrap();
        place[key] == value
    })
}

fn is_collection(path: &str) -> bool {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let below = match parts.first() {
        Some(&"api") => parts.get(2..),
        Some(&"apis") => parts.get(3..),
        _ => None,
    };
    match below.unwrap_or_default() {
        ["namespaces", _, rest @ ..] if !rest.is_empty() => rest.len() == 1,
        rest => rest.len() == 1,
    }
}

/// Changes a value as a merge patch does (RFC 7386).
fn merge(value: &mut Value, patch: &Value) {
    let (Value::Object(_), Value::Object(fields)) = (&value, patch) else {
        *value = patch.clone();
        return;
    };
    for (field, patch) in fields {
        if patch.is_null() {
            value.as_object_mut().unwrap().remove(field);
        } else {
            merge(&mut value[field], patch);
        }
    }
}

fn not_found(path: &str) -> Answer {
    (404, status(404, &format!("{path} not found")))
}

/// Returns a failure with a message.
fn status(code: u16, message: &str) -> Value {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        _ => "InternalError",
    };
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    })
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let (tls, state) = (tls.clone(), Arc::clone(&state));
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else {
                return;
            };
            let service = service_fn(|request| reply(request, &state));
            let connection = http1::Builder::new();
            let _ = connection
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn reply(
    request: Request<Incoming>,
    state: &Mutex<State>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let authorization = head.headers.get(header::AUTHORIZATION);
    let authorization = authorization.map_or("", |it| it.to_str().unwrap());
    let mut state = state.lock().unwrap();
    let line = format!("{} {}", head.method, head.uri);
    let asked = Asked {
        // The client library ends the path of a creation with `?`.
        line: line.trim_end_matches('?').to_owned(),
        authorization: authorization.to_owned(),
        body,
    };
    state.asked.push(asked.clone());
    let (code, answer) = state.answer(&head.method, &head.uri, &asked);
    let date = state.dates.get(head.uri.path()).copied().unwrap_or(DATE);
    let mut response = Response::new(Full::from(answer.to_string()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    headers.insert(header::DATE, date.parse().unwrap());
    Ok(response)
}

/// Creates a certificate for 127.0.0.1, and the PEM of its issuing authority.
fn identity() -> (TlsAcceptor, String) {
    let validity = Validity {
        not_before: "2020-01-01T00:00:00Z".parse().unwrap(),
        not_after: "2099-01-01T00:00:00Z".parse().unwrap(),
    };
    let authority = Authority::create("fake", validity).unwrap();
    let names = Names::from_iter(["127.0.0.1"]);
    let pair = authority.serving("fake", &names, validity).unwrap();
    let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(pair.key.expose().as_bytes()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let ca = authority.certificate_pem().to_owned();
    (TlsAcceptor::from(Arc::new(config)), ca)
}
