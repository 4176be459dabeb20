//! `access`: lists who may use a cluster, or which clusters a user may use.

use anyhow::{Context, Result};
use api::ext;
use api::ext::cluster_access_review::{
    ClusterAccess, ClusterAccessReview, ClusterAccessReviewSpec, GrantedAccess,
};
use api::ext::cluster_grant::GrantSubject;
use http::Method;
use machinery::human_duration::human_duration;
use machinery::time::Clock;
use serde_json::{Value, json};

use super::{list, print};
use crate::access::Access;
use crate::args::{AccessArgs, AccessOutput};
use crate::columns::columns;
use crate::environment::Environment;
use crate::http_client::Content;
use crate::say;

const REVIEWS: &str = "/apis/ext.cattle.io/v1/clusteraccessreviews";

const HEADING: [&str; 6] = ["CLUSTER", "SUBJECT", "NAME", "GROUPS", "LIMITS", "REASON"];

/// Runs the command.
pub(crate) async fn run(
    args: &AccessArgs,
    environment: &Environment,
    clock: &dyn Clock,
) -> Result<()> {
    let access = Access::new(&args.server, environment, clock).await?;
    let review = review(args);
    let answer = access.send(Method::POST, REVIEWS, Content::Json(&review));
    let answer = answer.await?;
    let review: Value = answer.json()?;
    match args.output {
        AccessOutput::Json => print(&list::json(&review)?),
        AccessOutput::Yaml => print(&list::yaml(&review)?),
        AccessOutput::Table => {
            let review: ClusterAccessReview =
                serde_json::from_value(review).context("the server sent an invalid review")?;
            let entries = &review.status.entries;
            if entries.is_empty() {
                let server = &access.server;
                match (&args.user, &args.cluster) {
                    (Some(user), None) => say::line(format_args!(
                        "User {user} has access to no cluster, according to {server}."
                    )),
                    _ => say::line(format_args!("No user has access, according to {server}.")),
                }
                return Ok(());
            }
            print(&table(entries))
        }
    }
}

fn review(args: &AccessArgs) -> Value {
    let spec = ClusterAccessReviewSpec {
        cluster_name: args.cluster.clone().unwrap_or_default(),
        user_name: args.user.clone().unwrap_or_default(),
    };
    json!({
        "apiVersion": ext::API_VERSION,
        "kind": ClusterAccessReview::KIND,
        "metadata": {},
        "spec": spec,
    })
}

fn table(entries: &[ClusterAccess]) -> String {
    let mut rows = vec![HEADING.map(str::to_owned).to_vec()];
    rows.extend(entries.iter().map(|entry| {
        let groups = match entry.groups.as_slice() {
            [] => "<none>".to_owned(),
            groups => groups.join(","),
        };
        vec![
            entry.cluster_name.clone(),
            entry.subject.kind.clone(),
            name(&entry.subject),
            groups,
            limits(entry),
            entry.reason.clone(),
        ]
    }));
    columns(&rows)
}

/// Returns the limits of the grants of an entry, one of which a request must pass.
fn limits(entry: &ClusterAccess) -> String {
    let grants = entry.grants.iter().filter(|_| entry.limited);
    let limits: Vec<String> = grants.map(limits_of).collect();
    match limits.is_empty() || limits.iter().any(String::is_empty) {
        true => "<none>".to_owned(),
        false => limits.join(" or "),
    }
}

fn limits_of(grant: &GrantedAccess) -> String {
    let access = grant.access.as_ref();
    let rules = access.map_or(0, |access| access.rules.len());
    let namespaces = access.map(|access| access.namespaces.join(","));
    let namespaces = namespaces.filter(|names| !names.is_empty());
    let parts = [
        access
            .filter(|access| access.read_only)
            .map(|_| "read-only".to_owned()),
        namespaces.map(|names| format!("namespaces {names}")),
        (rules > 0).then(|| format!("{rules} rules")),
        grant
            .max_ttl_seconds
            .map(|seconds| format!("lifetime {}", human_duration(seconds))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join("; ")
}

/// Returns the name of a subject, after its namespace if it has one.
fn name(subject: &GrantSubject) -> String {
    match subject.namespace.as_str() {
        "" => subject.name.clone(),
        namespace => format!("{namespace}/{}", subject.name),
    }
}

#[cfg(test)]
mod tests {
    use api::ext::Access;

    use super::*;

    #[test]
    fn each_permission_is_a_row() {
        let entry = |kind: &str, namespace: &str, groups: &[&str]| ClusterAccess {
            cluster_name: "prod".to_owned(),
            subject: GrantSubject {
                kind: kind.to_owned(),
                namespace: namespace.to_owned(),
                name: "dana".to_owned(),
            },
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            reason: "allowed\u{1b}[2J by ClusterGrant \"a\"".to_owned(),
            limited: kind == GrantSubject::USER,
            grants: vec![GrantedAccess {
                access: Some(Access {
                    read_only: true,
                    namespaces: vec!["a".to_owned(), "b".to_owned()],
                    ..Access::default()
                }),
                max_ttl_seconds: Some(3600),
                ..GrantedAccess::default()
            }],
        };
        let entries = [
            entry("ServiceAccount", "ci", &[]),
            entry("User", "", &["a", "b"]),
        ];
        let expected = "\
CLUSTER   SUBJECT          NAME      GROUPS   LIMITS                                    REASON
prod      ServiceAccount   ci/dana   <none>   <none>                                    allowed[2J by ClusterGrant \"a\"
prod      User             dana      a,b      read-only; namespaces a,b; lifetime 60m   allowed[2J by ClusterGrant \"a\"
";
        assert_eq!(table(&entries), expected);
    }
}
