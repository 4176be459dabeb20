//! The rules of aggregated ClusterRoles, computed and kept up to date in the stored objects
//! (upstream's `clusterroleaggregation`).

use std::time::Duration;

use apiserver::registry::{Registry, WriteError, revision_of};
use auth::rbac::aggregation::aggregate;
use k8s_openapi::api::rbac::v1::ClusterRole;
use machinery::status::Status;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Time to wait after a failure.
const PAUSE: Duration = Duration::from_secs(2);

/// Writes the rules of aggregated roles into them whenever a ClusterRole changes, until `shutdown`.
/// Failures are logged and retried. Dropping the future is safe.
pub async fn run(registry: Registry<ClusterRole>, shutdown: CancellationToken) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = follow(&registry) => {}
    }
}

/// Computes the rules of aggregated roles.
///
/// The result depends only on the other roles. The previous rules of aggregated roles are ignored,
/// so a rule that its sources have lost disappears, even if roles aggregate each other in a cycle.
/// Each round completes at least one level.
pub(crate) fn fill(roles: &mut [ClusterRole]) {
    for role in roles
        .iter_mut()
        .filter(|role| role.aggregation_rule.is_some())
    {
        role.rules = None;
    }
    for _ in 0..roles.len() {
        let mut is_settled = true;
        for index in 0..roles.len() {
            if let Some(rules) = aggregate(&roles[index], roles) {
                roles[index].rules = Some(rules);
                is_settled = false;
            }
        }
        if is_settled {
            return;
        }
    }
}

async fn follow(registry: &Registry<ClusterRole>) {
    let collection = registry.collection();
    loop {
        if let Ok(mut changes) = collection.watch_from(collection.view().revision) {
            while let Ok(()) = update(registry).await.inspect_err(log_failure) {
                match changes.next().await {
                    Ok(_) => {}
                    Err(storage::Error::Closed) => return,
                    Err(_) => break,
                }
            }
        }
        sleep(PAUSE).await;
    }
}

fn log_failure(error: &Status) {
    tracing::warn!(%error, "the rules of aggregated roles could not be written");
}

/// Writes the roles whose rules are out of date. A conflicting write triggers another round.
async fn update(registry: &Registry<ClusterRole>) -> Result<(), Status> {
    let stored = registry.cache().all();
    let mut filled = stored.clone();
    fill(&mut filled);
    for (role, stored) in filled.into_iter().zip(&stored) {
        let is_changed = role.rules.as_deref().unwrap_or_default()
            != stored.rules.as_deref().unwrap_or_default();
        if is_changed {
            let revision = revision_of(&role)?;
            match registry.store().replace(role, revision).await {
                Ok(_) | Err(WriteError::Conflict) => {}
                Err(WriteError::Status(status)) => return Err(status),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::rbac::v1::PolicyRule;
    use serde_json::json;

    use super::*;

    /// Returns a role of this name, with a rule on each resource. It is aggregated under `label`,
    /// and aggregates the roles with the label `gathers`.
    fn role(name: &str, label: &str, gathers: &str, resources: &[&str]) -> ClusterRole {
        let rules = resources.iter().map(|resource| rule(resource)).collect();
        let selector = json!({"clusterRoleSelectors": [{"matchLabels": {gathers: "true"}}]});
        let aggregation = (!gathers.is_empty()).then_some(selector);
        let labels = json!({label: "true"});
        ClusterRole {
            metadata: serde_json::from_value(json!({"name": name, "labels": labels})).unwrap(),
            aggregation_rule: serde_json::from_value(aggregation.into()).unwrap(),
            rules: Some(rules),
        }
    }

    fn rule(resource: &str) -> PolicyRule {
        PolicyRule {
            resources: Some(vec![resource.to_owned()]),
            verbs: vec!["get".to_owned()],
            ..PolicyRule::default()
        }
    }

    #[track_caller]
    fn check(roles: &[ClusterRole], expected: &[&[&str]]) {
        let mut roles = roles.to_vec();
        fill(&mut roles);
        let rules: Vec<Vec<PolicyRule>> = roles
            .into_iter()
            .map(|role| role.rules.unwrap_or_default())
            .collect();
        let expected: Vec<Vec<PolicyRule>> = expected
            .iter()
            .map(|rules| rules.iter().map(|name| rule(name)).collect())
            .collect();
        assert_eq!(rules, expected);
    }

    #[test]
    fn levels_are_gathered_whatever_their_order() {
        let roles = [
            role("admin", "", "to-admin", &[]),
            role("edit", "to-admin", "to-edit", &[]),
            role("view", "to-edit", "to-view", &[]),
            role("z-pods", "to-view", "", &["pods"]),
        ];
        check(&roles, &[&["pods"], &["pods"], &["pods"], &["pods"]]);
    }

    #[test]
    fn what_the_sources_have_lost_is_gone() {
        check(&[role("a", "", "x", &["old"])], &[&[]]);
    }

    #[test]
    fn a_circle_keeps_nothing_of_its_own() {
        let roles = [
            role("a", "x", "y", &["old"]),
            role("b", "y", "x", &["old"]),
            role("c", "y", "", &["pods"]),
        ];
        check(&roles, &[&["pods"], &["pods"], &["pods"]]);
    }
}
