//! One probe of a cluster: whether it answers, its version, and whether the gateway may impersonate
//! there.

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::ask::{Answer, ask};
use crate::upstream::{UpstreamError, Upstreams};

use super::observation::Finding;

/// A resource that the gateway must be able to impersonate.
#[derive(Clone, Copy, Debug)]
pub struct Impersonated {
    /// The API group.
    pub group: &'static str,
    /// The resource.
    pub resource: &'static str,
    /// The subresource; empty if there is none.
    pub subresource: &'static str,
}

/// Everything that the gateway must be able to impersonate.
pub const IMPERSONATED: [Impersonated; 4] = [
    Impersonated::new("", "users", ""),
    Impersonated::new("", "groups", ""),
    Impersonated::new("authentication.k8s.io", "uids", ""),
    Impersonated::new("authentication.k8s.io", "userextras", "requesttokenid"),
];

impl Impersonated {
    const fn new(group: &'static str, resource: &'static str, subresource: &'static str) -> Self {
        Self {
            group,
            resource,
            subresource,
        }
    }

    /// Returns the resource with its subresource, as in the rules of a role.
    #[must_use]
    pub fn in_role(&self) -> String {
        match self.subresource {
            "" => self.resource.to_owned(),
            subresource => format!("{}/{subresource}", self.resource),
        }
    }
}

#[derive(Deserialize)]
struct Version {
    #[serde(rename = "gitVersion")]
    git_version: String,
}

#[derive(Deserialize)]
struct Review {
    status: ReviewStatus,
}

#[derive(Deserialize)]
struct ReviewStatus {
    #[serde(default)]
    allowed: bool,
}

/// Probes a cluster. Returns `None` if the result says nothing about the cluster.
pub(super) async fn probe(upstreams: &Upstreams, cluster: &str) -> Option<Finding> {
    match look(upstreams, cluster).await {
        Ok(finding) => Some(finding),
        Err(error) => Finding::of_error(error),
    }
}

async fn look(upstreams: &Upstreams, cluster: &str) -> Result<Finding, UpstreamError> {
    let answer = ask(upstreams, cluster, "/version", None).await?;
    if answer.code.is_server_error() || answer.code == StatusCode::TOO_MANY_REQUESTS {
        return Ok(Finding::Failing(answer.code));
    }
    let Some(version) = version(&answer) else {
        return Ok(Finding::NotKubernetes(answer.code));
    };
    for impersonated in IMPERSONATED {
        let Impersonated {
            group,
            resource,
            subresource,
        } = impersonated;
        let attributes = json!({
            "verb": "impersonate",
            "group": group,
            "resource": resource,
            "subresource": subresource,
        });
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": attributes },
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let answer = ask(upstreams, cluster, path, Some(&review)).await?;
        if answer.code.is_server_error() {
            return Ok(Finding::Failing(answer.code));
        }
        if !is_allowed(&answer) {
            let what = impersonated.in_role();
            return Ok(Finding::CannotImpersonate { version, what });
        }
    }
    Ok(Finding::Connected { version })
}

fn version(answer: &Answer) -> Option<String> {
    let version: Version = serde_json::from_slice(&answer.body).ok()?;
    let fits = answer.code == StatusCode::OK && version.git_version.len() <= 128;
    fits.then_some(version.git_version)
}

fn is_allowed(answer: &Answer) -> bool {
    let review = serde_json::from_slice::<Review>(&answer.body);
    answer.code == StatusCode::CREATED && review.is_ok_and(|review| review.status.allowed)
}
