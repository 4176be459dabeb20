//! The gateway's credential at a cluster: a token of its ServiceAccount there.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use gateway::prober::IMPERSONATED;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, ResourceRule, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
    SelfSubjectRulesReview, SelfSubjectRulesReviewSpec,
};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Client};
use signing::secret::SecretString;

use super::manifests::{NAMESPACE, SERVICE_ACCOUNT};
use crate::client::told;

/// The requested lifetime of a token, one year. The cluster may grant less.
const LIFETIME_SECS: i64 = 365 * 24 * 60 * 60;

/// The maximum number of checks of the permissions, while the cluster processes a new binding.
const ATTEMPTS: u32 = 20;

/// The interval between two checks.
const PAUSE: Duration = Duration::from_millis(250);

/// A token, and its expiry according to the cluster.
pub(super) struct Issued {
    pub(super) token: SecretString,
    pub(super) expires: Option<Timestamp>,
}

/// Requests a new token for the gateway's ServiceAccount.
pub(super) async fn request(cluster: &Client) -> Result<Issued> {
    let accounts = Api::<ServiceAccount>::namespaced(cluster.clone(), NAMESPACE);
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: Some(Vec::new()),
            expiration_seconds: Some(LIFETIME_SECS),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let params = PostParams::default();
    let answer = accounts.create_token_request(SERVICE_ACCOUNT, &params, &request);
    let status = answer.await.map_err(told)?.status.unwrap_or_default();
    let token = status.token.filter(|token| !token.is_empty());
    Ok(Issued {
        token: SecretString::new(token.context("the cluster responded without a token")?),
        expires: status.expiration_timestamp.map(|time| time.0),
    })
}

/// Reads a token from a file.
pub(super) fn from_file(path: &Path) -> Result<SecretString> {
    let named = || format!("the credential file {}", path.display());
    let text = std::fs::read_to_string(path).with_context(named)?;
    let token = text.trim();
    if token.is_empty() || token.contains(char::is_whitespace) {
        return Err(anyhow!("it must contain one token and nothing else")).with_context(named);
    }
    Ok(SecretString::new(token.to_owned()))
}

/// Checks that the bearer may impersonate, and returns its other permissions.
///
/// # Errors
/// Fails if the bearer may not impersonate, or if it may do everything. With an unlimited
/// credential, a request that the gateway sent without impersonation would succeed.
pub(super) async fn check(bearer: &Client) -> Result<Vec<String>> {
    await_rights(bearer).await?;
    if may(bearer, attributes("*", "*", "*", "*")).await? {
        bail!(
            "the credential may do everything there; the gateway accepts only a credential that may impersonate and do nothing else"
        );
    }
    let review = SelfSubjectRulesReview {
        spec: SelfSubjectRulesReviewSpec {
            namespace: Some(NAMESPACE.to_owned()),
        },
        ..SelfSubjectRulesReview::default()
    };
    let reviews = Api::<SelfSubjectRulesReview>::all(bearer.clone());
    let answer = reviews.create(&PostParams::default(), &review).await;
    let rules = answer
        .map_err(told)?
        .status
        .unwrap_or_default()
        .resource_rules;
    Ok(rules
        .iter()
        .filter(|rule| !is_expected(rule))
        .map(shown)
        .collect())
}

async fn await_rights(bearer: &Client) -> Result<()> {
    for attempt in 1.. {
        let mut missing = None;
        for it in IMPERSONATED {
            let attributes = attributes("impersonate", it.group, it.resource, it.subresource);
            if !may(bearer, attributes).await? {
                missing = Some(it.in_role());
                break;
            }
        }
        match missing {
            None => break,
            Some(resource) if attempt == ATTEMPTS => {
                bail!(
                    "the credential may not impersonate {resource} there: apply deploy/downstream/"
                )
            }
            Some(_) => tokio::time::sleep(PAUSE).await,
        }
    }
    Ok(())
}

fn attributes(verb: &str, group: &str, resource: &str, subresource: &str) -> ResourceAttributes {
    ResourceAttributes {
        verb: Some(verb.to_owned()),
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource: Some(subresource.to_owned()),
        ..ResourceAttributes::default()
    }
}

async fn may(bearer: &Client, attributes: ResourceAttributes) -> Result<bool> {
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews = Api::<SelfSubjectAccessReview>::all(bearer.clone());
    let answer = reviews.create(&PostParams::default(), &review).await;
    let answer = answer
        .map_err(told)
        .context("the cluster rejected the credential")?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// Returns whether a rule is one that the gateway needs, or one that all authenticated users have.
fn is_expected(rule: &ResourceRule) -> bool {
    let resources = rule.resources.as_deref().unwrap_or_default();
    let all = |verb: &str, expected: &dyn Fn(&str) -> bool| {
        rule.verbs == [verb] && resources.iter().all(|resource| expected(resource))
    };
    let own_token = rule.resource_names.as_deref() == Some(&[SERVICE_ACCOUNT.to_owned()])
        && all("create", &|resource| resource == "serviceaccounts/token");
    let about_itself = |resource: &str| resource.starts_with("selfsubject");
    own_token || all("impersonate", &|_| true) || all("create", &about_itself)
}

fn shown(rule: &ResourceRule) -> String {
    let resources = rule.resources.as_deref().unwrap_or_default();
    format!("{} {}", rule.verbs.join(","), resources.join(","))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn rule(verbs: &[&str], resources: &[&str], names: &[&str]) -> ResourceRule {
        let owned = |texts: &[&str]| texts.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        ResourceRule {
            verbs: owned(verbs),
            resources: Some(owned(resources)),
            resource_names: Some(owned(names)).filter(|names| !names.is_empty()),
            api_groups: None,
        }
    }

    #[test]
    fn what_a_credential_may_beyond_its_purpose_is_noticed() {
        for (rule, expected) in [
            (rule(&["impersonate"], &["users", "groups"], &[]), true),
            (
                rule(
                    &["create"],
                    &["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
                    &[],
                ),
                true,
            ),
            (
                rule(&["create"], &["serviceaccounts/token"], &["gateway"]),
                true,
            ),
            (rule(&["create"], &["serviceaccounts/token"], &[]), false),
            (
                rule(&["create"], &["serviceaccounts/token"], &["other"]),
                false,
            ),
            (rule(&["create"], &["pods"], &["gateway"]), false),
            (
                rule(&["get"], &["serviceaccounts/token"], &["gateway"]),
                false,
            ),
            (rule(&["get", "impersonate"], &["users"], &[]), false),
            (
                rule(&["create"], &["selfsubjectaccessreviews", "pods"], &[]),
                false,
            ),
            (rule(&["*"], &["*"], &[]), false),
        ] {
            assert_eq!(is_expected(&rule), expected, "{rule:?}");
        }
        assert_eq!(
            shown(&rule(&["get", "list"], &["pods", "secrets"], &[])),
            "get,list pods,secrets"
        );
    }

    #[test]
    fn a_credential_file_holds_one_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let read = |content: &str| {
            fs::write(&path, content).unwrap();
            from_file(&path)
        };
        assert_eq!(read("ey.abc.def\n").unwrap().expose(), "ey.abc.def");
        for wrong in ["", "\n", "one two", "token: ey.abc.def"] {
            let error = format!("{:#}", read(wrong).unwrap_err());
            assert!(
                error.ends_with("it must contain one token and nothing else"),
                "{error}"
            );
        }
    }
}
