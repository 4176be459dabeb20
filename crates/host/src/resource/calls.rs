//! Single calls to the host. Each has a deadline, is repeated if the host asks for that, and
//! records its error for administrators.
//!
//! The client library's typed calls are not used. They log answers that they cannot decode, which
//! may contain secrets, and they drop `Retry-After`.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};

use super::{Failure, Topic, Troubles, Verb, failure::Refusal, lines};

/// Time limit for a call, including the pauses that the host asks for.
const DEADLINE: Duration = Duration::from_secs(10);

/// Interval between reviews of denied permissions.
const REVIEWS: Duration = Duration::from_secs(2);

/// Calls for one resource, in one namespace or all.
pub(crate) struct Calls {
    client: Client,
    target: Target,
    troubles: Troubles,
}

/// The resource of the calls.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// API group; empty for the core group.
    pub(crate) group: String,
    /// Version of the group.
    pub(crate) version: String,
    /// Plural name of the resource.
    pub(crate) resource: String,
    /// Namespace; `None` for all namespaces, and for resources without namespaces.
    pub(crate) namespace: Option<String>,
}

/// A request to the host.
pub(crate) struct Call {
    pub(crate) verb: Verb,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
}

impl Call {
    /// Creates a call without a body.
    pub(crate) fn new(verb: Verb, path: String) -> Self {
        Self {
            verb,
            path,
            body: Vec::new(),
        }
    }

    fn request(&self) -> Result<Request<Body>, Failure> {
        let (method, content) = match self.verb {
            Verb::Get | Verb::List | Verb::Watch => (Method::GET, ""),
            Verb::Create => (Method::POST, "application/json"),
            Verb::Update => (Method::PUT, "application/json"),
            Verb::Patch => (Method::PATCH, "application/merge-patch+json"),
            Verb::Delete => (Method::DELETE, "application/json"),
        };
        let request = Request::builder().method(method).uri(&self.path);
        let mut request = request
            .body(Body::from(self.body.clone()))
            .map_err(|error| Failure::Unreachable(error.into()))?;
        let headers = request.headers_mut();
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::ACCEPT, json);
        let plain = HeaderValue::from_static("identity");
        headers.insert(header::ACCEPT_ENCODING, plain);
        if !self.body.is_empty() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content));
        }
        Ok(request)
    }
}

impl Target {
    /// Returns the path of the collection.
    pub(crate) fn path(&self) -> String {
        let Self {
            group,
            version,
            resource,
            namespace,
        } = self;
        let group = match group.as_str() {
            "" => format!("/api/{version}"),
            group => format!("/apis/{group}/{version}"),
        };
        match namespace {
            Some(namespace) => format!("{group}/namespaces/{namespace}/{resource}"),
            None => format!("{group}/{resource}"),
        }
    }

    /// Returns the Kubernetes name of the resource: `secrets`, `clusters.management.cattle.io`.
    fn name(&self) -> String {
        match self.group.as_str() {
            "" => self.resource.clone(),
            group => format!("{}.{group}", self.resource),
        }
    }

    fn place(&self) -> String {
        let namespace = self.namespace.as_ref();
        namespace.map_or_else(String::new, |namespace| {
            format!(" in namespace {namespace}")
        })
    }
}

impl Calls {
    pub(crate) fn new(client: Client, target: Target) -> Self {
        Self {
            client,
            target,
            troubles: Troubles::default(),
        }
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    pub(crate) fn troubles(&self) -> &Troubles {
        &self.troubles
    }

    /// Sends a call and returns the body of the answer.
    pub(crate) async fn send(&self, call: &Call) -> Result<Bytes, Failure> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let answered = timeout_at(deadline, self.once(call)).await;
            let answered = answered.unwrap_or(Err(Failure::Late(DEADLINE)));
            self.note(call.verb, answered.as_ref().err());
            let pause = answered.as_ref().err().and_then(Failure::pause);
            match pause {
                Some(pause) if Instant::now() + pause < deadline => sleep(pause).await,
                _ => return answered,
            }
        }
    }

    /// Opens a watch and returns its lines. The deadline applies to the head of the answer.
    pub(crate) async fn watch(
        &self,
        call: &Call,
    ) -> Result<impl Stream<Item = Result<Bytes, Failure>> + use<>, Failure> {
        let deadline = Instant::now() + DEADLINE;
        let answered = timeout_at(deadline, self.open(call)).await;
        let answered = answered.unwrap_or(Err(Failure::Late(DEADLINE)));
        self.note(call.verb, answered.as_ref().err());
        let body = answered?.into_body().into_data_stream();
        Ok(lines::split(body.map(|chunk| {
            chunk.map_err(|error| Failure::Unreachable(error.into()))
        })))
    }

    /// Asks the host repeatedly which verbs this server may use: at first all `verbs`, then those
    /// that were denied. Otherwise a denied write would only be noticed when it is needed, and a
    /// new grant not at all. Never returns.
    pub(crate) async fn review(&self, verbs: &[Verb]) {
        let mut asked = verbs.to_vec();
        let mut turns = interval(REVIEWS);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            while let Some(verb) = asked.last() {
                match self.may(*verb).await {
                    Ok(true) => self.troubles.clear(Topic::Denied(*verb)),
                    Ok(false) if self.troubles.denied().contains(verb) => {}
                    Ok(false) => self.deny(
                        *verb,
                        "grant this permission to the ServiceAccount of this server",
                    ),
                    // The cause also shows in other calls. The remaining verbs are reviewed in the
                    // next round.
                    Err(_) => break,
                }
                asked.pop();
            }
            let known = self.troubles.denied().into_iter();
            asked.extend(
                known
                    .filter(|verb| !asked.contains(verb))
                    .collect::<Vec<_>>(),
            );
        }
    }

    async fn may(&self, verb: Verb) -> Result<bool, Failure> {
        let Target {
            group,
            resource,
            namespace,
            ..
        } = &self.target;
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {
                "group": group, "resource": resource, "namespace": namespace, "verb": verb.as_str(),
            }},
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let mut call = Call::new(Verb::Create, path.to_owned());
        call.body = review.to_string().into_bytes();
        let deadline = Instant::now() + DEADLINE;
        let answer = timeout_at(deadline, self.once(&call)).await;
        let answer = answer.unwrap_or(Err(Failure::Late(DEADLINE)))?;
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        let allowed = answer.pointer("/status/allowed");
        Ok(allowed.and_then(serde_json::Value::as_bool) == Some(true))
    }

    async fn once(&self, call: &Call) -> Result<Bytes, Failure> {
        let body = self.open(call).await?.into_body().collect().await;
        let body = body.map_err(|error| Failure::Unreachable(error.into()))?;
        Ok(body.to_bytes())
    }

    async fn open(&self, call: &Call) -> Result<Response<Body>, Failure> {
        let answer = self.client.send(call.request()?).await;
        let answer = answer.map_err(|error| Failure::Unreachable(error.into()))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let (head, body) = answer.into_parts();
        let body = body.collect().await;
        let body = body.map_err(|error| Failure::Unreachable(error.into()))?;
        let refusal = Refusal::new(head.status, &head.headers, &body.to_bytes());
        Err(Failure::Refused(refusal))
    }

    fn note(&self, verb: Verb, failure: Option<&Failure>) {
        match failure {
            None => {
                self.troubles.clear(Topic::Host);
                self.troubles.clear(Topic::Denied(verb));
                if verb.is_write() {
                    self.troubles.clear(Topic::Namespace);
                }
            }
            Some(Failure::Refused(refusal)) => self.note_refusal(verb, refusal),
            Some(failure) => self.troubles.set(Topic::Host, chain(failure)),
        }
    }

    fn note_refusal(&self, verb: Verb, refusal: &Refusal) {
        let code = refusal.code;
        if code.is_server_error() || code.as_u16() == 429 {
            let text = format!("the host responded {code}: {}", refusal.message);
            return self.troubles.set(Topic::Host, text);
        }
        self.troubles.clear(Topic::Host);
        match (
            code.as_u16(),
            refusal.about.as_str(),
            &self.target.namespace,
        ) {
            (401, ..) => {
                let text = "the host rejected the credential of this server";
                self.troubles.set(Topic::Host, text.to_owned());
            }
            (403, ..) => self.deny(verb, &refusal.message),
            (404, "namespaces", Some(namespace)) => {
                let text = format!("namespace {namespace} does not exist: create it");
                self.troubles.set(Topic::Namespace, text);
            }
            _ => self.troubles.clear(Topic::Denied(verb)),
        }
    }

    fn deny(&self, verb: Verb, why: &str) {
        let (verb_name, resource, place) = (verb.as_str(), self.target.name(), self.target.place());
        let text = format!("this server may not {verb_name} {resource}{place}: {why}");
        self.troubles.set(Topic::Denied(verb), text);
    }
}

/// Formats an error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Libraries often repeat their causes.
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
