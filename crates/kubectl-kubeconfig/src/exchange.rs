//! The exchange of a login for a credential, by creation of a Token that names the record and the
//! cluster.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use api::ext::{self, Kubeconfig, Token, TokenSpec, token};
use api::management::cluster::LOCAL;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use certificates::Certificate;
use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PublicKeyData};
use serde_json::{Value, json};

use crate::cache::Cached;
use crate::exec_credential::Credential;
use crate::http_client::{Answer, Content, HttpClient, Identity, LIMIT, Route};
use crate::say::printable;
use crate::secret::Secret;
use crate::target::Target;

/// Timeout of a check of a cached credential. If the server does not answer, the credential is used
/// without a check.
const LOOK: Duration = Duration::from_secs(5);

/// The maximum lifetime of a credential that is accepted from a server. It is longer than the
/// lifetime that any server grants.
const MAX_LIFE: SignedDuration = SignedDuration::from_hours(366 * 24);

/// The path of the Tokens in the API.
const TOKENS: &str = "/apis/ext.cattle.io/v1/tokens";

/// The audience of a token with limits.
const ONLY_HERE: &str = "cluster:*";

/// The path of the records in the API.
pub(crate) const KUBECONFIGS: &str = "/apis/ext.cattle.io/v1/kubeconfigs";

/// The result of an exchange.
#[derive(Debug)]
pub(crate) enum Exchange {
    /// The server issued a credential.
    Given(Box<Cached>),
    /// The server no longer accepts the login.
    LoginEnded,
    /// The server refuses to issue a credential for the record to this user, with this reason.
    Refused(String),
}

/// Requests a credential.
///
/// # Errors
/// Fails if the server does not answer, or if its answer is invalid.
pub(crate) async fn exchange(
    client: &HttpClient,
    target: &Target,
    now: Timestamp,
) -> Result<Exchange> {
    let key = target.certificate.then(KeyPair::generate).transpose();
    let key = key.context("no key can be generated")?;
    let request = key.as_ref().map(signing_request).transpose()?;
    let spec = TokenSpec {
        kind: token::KIND_KUBECONFIG.to_owned(),
        kubeconfig_name: target.kubeconfig.clone(),
        cluster_name: target.cluster.clone(),
        certificate_signing_request: request.unwrap_or_default(),
        ..TokenSpec::default()
    };
    let (version, kind) = (ext::API_VERSION, Token::KIND);
    let token = json!({ "apiVersion": version, "kind": kind, "metadata": {}, "spec": spec });
    let answer = client.ask(Method::POST, TOKENS, Content::Json(&token), LIMIT);
    let answer = answer.await?;
    match answer.status {
        StatusCode::UNAUTHORIZED => Ok(Exchange::LoginEnded),
        status if !status.is_success() => Ok(Exchange::Refused(answer.refusal())),
        _ => {
            let given = given(&answer, target, key.as_ref(), now);
            let given = given.context("the server returned something other than requested")?;
            Ok(Exchange::Given(Box::new(given)))
        }
    }
}

/// Returns whether a token was revoked, according to the endpoint that the token is for. Returns
/// false if the endpoint does not answer.
pub(crate) async fn is_taken_back(route: &Route, target: &Target, token: &Secret) -> Result<bool> {
    let bearer = Identity::Token(token.clone());
    let client = HttpClient::new(target.server.as_str(), route, bearer)?;
    let path = match target.cluster.as_str() {
        LOCAL => "/version".to_owned(),
        cluster => format!("/k8s/clusters/{cluster}/version"),
    };
    let answer = client.ask(Method::GET, &path, Content::None, LOOK).await;
    Ok(answer.is_ok_and(|answer| answer.status == StatusCode::UNAUTHORIZED))
}

/// Returns whether a record is deleted or suspended. A certificate cannot be revoked, so this
/// program stops using it when its record ends.
pub(crate) async fn is_record_over(client: &HttpClient, kubeconfig: &str) -> bool {
    let path = format!("{KUBECONFIGS}/{kubeconfig}");
    let answer = client.ask(Method::GET, &path, Content::None, LOOK).await;
    answer.is_ok_and(|answer| {
        let record = answer.json::<Kubeconfig>().unwrap_or_default();
        answer.status == StatusCode::NOT_FOUND || record.spec.is_suspended()
    })
}

/// Returns the credential in an answer, which must match the request.
fn given(
    answer: &Answer,
    target: &Target,
    key: Option<&KeyPair>,
    now: Timestamp,
) -> Result<Cached> {
    let token: Token = answer.json().context("the created Token is invalid")?;
    let (record, cluster) = (&token.spec.kubeconfig_name, &token.spec.cluster_name);
    ensure!(
        *record == target.kubeconfig && *cluster == target.cluster,
        "a Token of kubeconfig {record:?} for cluster {cluster:?} instead of {:?} and {:?}",
        target.kubeconfig,
        target.cluster
    );
    let endpoints = token.status.endpoints.clone();
    let cached = match key {
        Some(key) => certificate(token, key, now)?,
        None => bearer(token, target, now)?,
    };
    Ok(Cached {
        endpoints,
        ..cached
    })
}

fn certificate(token: Token, key: &KeyPair, now: Timestamp) -> Result<Cached> {
    let certificate = token.status.certificate;
    let read = Certificate::from_pem(certificate.as_bytes());
    let read = read.context("an invalid certificate")?;
    ensure!(
        read.is_for_key(&key.subject_public_key_info()),
        "a certificate for another key"
    );
    check_life(read.validity.not_after, now)?;
    let credential = Credential::Certificate {
        certificate,
        key: Secret::new(key.serialize_pem()),
    };
    let end = read.validity.not_after;
    Ok(Cached::new(credential, String::new(), end, now))
}

fn bearer(token: Token, target: &Target, now: Timestamp) -> Result<Cached> {
    let bearer = token.status.bearer_token;
    ensure!(!bearer.is_empty(), "a Token without a value");
    check_audience(&bearer, target)?;
    let end = &token.status.expires_at;
    let end = end.parse::<Timestamp>();
    let end = end.ok().with_context(|| {
        format!(
            "a Token that expires at {:?}, which is not a timestamp",
            token.status.expires_at
        )
    })?;
    check_life(end, now)?;
    let name = token.metadata.name.unwrap_or_default();
    let credential = Credential::Token(Secret::new(bearer));
    Ok(Cached::new(credential, name, end, now))
}

fn check_life(end: Timestamp, now: Timestamp) -> Result<()> {
    ensure!(now < end, "a credential that expired at {end}");
    ensure!(
        end.duration_since(now) <= MAX_LIFE,
        "a credential that expires at {end}, which is later than the maximum"
    );
    Ok(())
}

/// Checks that a token which names its audiences names that of the file. A token of another form is
/// left to the server.
fn check_audience(bearer: &str, target: &Target) -> Result<()> {
    let claims = bearer.split('.').nth(1);
    let claims = claims.and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok());
    let claims = claims.and_then(|json| serde_json::from_slice::<Value>(&json).ok());
    let audiences = claims.unwrap_or_default()["aud"].take();
    let wanted = target.audience.as_deref().map(|it| json!(it));
    let (Some(wanted), false) = (wanted, audiences.is_null()) else {
        return Ok(());
    };
    // A token with limits is for all clusters of its record, and only the server accepts it.
    let is_right = |audience: &Value| *audience == wanted || audience == ONLY_HERE;
    let is_for = match &audiences {
        Value::Array(all) => all.iter().any(is_right),
        one => is_right(one),
    };
    ensure!(
        is_for,
        "a token for {audiences} instead of {wanted}, the audience in the kubeconfig"
    );
    Ok(())
}

/// Returns a certificate signing request without a name: the server decides the subject of the
/// certificate.
fn signing_request(key: &KeyPair) -> Result<String> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(key).and_then(|it| it.pem());
    request.context("no certificate signing request can be created")
}

/// Returns the user name of the login at the server.
///
/// # Errors
/// Fails if the server does not accept the login.
pub(crate) async fn account(client: &HttpClient) -> Result<String> {
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "SelfSubjectReview",
        "metadata": {},
    });
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let answer = client
        .ask(Method::POST, path, Content::Json(&review), LIMIT)
        .await?;
    ensure!(
        answer.status.is_success(),
        "the server rejected this login: {}",
        answer.refusal()
    );
    let review: serde_json::Value = answer
        .json()
        .context("the response with your user name is invalid")?;
    let name = review.pointer("/status/userInfo/username");
    let name = name.and_then(|name| name.as_str()).unwrap_or_default();
    ensure!(
        !name.is_empty() && name != "system:anonymous",
        "the server did not return your user name"
    );
    Ok(printable(name))
}

/// Revokes a token. Succeeds if the server no longer knows it.
pub(crate) async fn revoke(client: &HttpClient, token: &str) -> Result<()> {
    let path = format!("{TOKENS}/{token}");
    let answer = client.ask(Method::DELETE, &path, Content::None, LIMIT);
    let answer = answer.await?;
    let gone = answer.status.is_success() || answer.status == StatusCode::NOT_FOUND;
    ensure!(gone, "{}", answer.refusal());
    Ok(())
}
