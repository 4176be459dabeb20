//! One probe of a cluster: whether it answers, its version, and whether the gateway may impersonate
//! there.

use http::StatusCode;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReviewSpec};
use serde::Deserialize;

use crate::self_review;
use crate::small_request::{self, SmallAnswer};
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

    /// Returns the question whether the gateway may impersonate it.
    fn review(&self) -> SelfSubjectAccessReviewSpec {
        SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                verb: Some("impersonate".to_owned()),
                group: Some(self.group.to_owned()),
                resource: Some(self.resource.to_owned()),
                subresource: Some(self.subresource.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
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

/// Probes a cluster. Returns `None` if the result says nothing about the cluster.
pub(super) async fn probe(upstreams: &Upstreams, cluster: &str) -> Option<Finding> {
    match check_cluster(upstreams, cluster).await {
        Ok(finding) => Some(finding),
        Err(error) => Finding::of_error(error),
    }
}

async fn check_cluster(upstreams: &Upstreams, cluster: &str) -> Result<Finding, UpstreamError> {
    let answer = small_request::get(upstreams, cluster, "/version").await?;
    if answer.code.is_server_error() || answer.code == StatusCode::TOO_MANY_REQUESTS {
        return Ok(Finding::Failing(answer.code));
    }
    let Some(version) = version(&answer) else {
        return Ok(Finding::NotKubernetes(answer.code));
    };
    for impersonated in IMPERSONATED {
        let review = self_review::review(impersonated.review());
        let answer = small_request::post(upstreams, cluster, self_review::PATH, &review).await?;
        if answer.code.is_server_error() {
            return Ok(Finding::Failing(answer.code));
        }
        if !self_review::result(answer.code, &answer.body).allowed {
            let what = impersonated.in_role();
            return Ok(Finding::CannotImpersonate { version, what });
        }
    }
    Ok(Finding::Connected { version })
}

fn version(answer: &SmallAnswer) -> Option<String> {
    let version: Version = serde_json::from_slice(&answer.body).ok()?;
    let fits = answer.code == StatusCode::OK && version.git_version.len() <= 128;
    fits.then_some(version.git_version)
}
