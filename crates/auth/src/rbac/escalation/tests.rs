use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::*;
use crate::authorizer::{AuthorizerError, Decision, Rules};
use crate::rbac::RbacAuthorizer;
use crate::rbac::fixtures::{Objects, cluster_role, named, on_paths, role_ref, rule, user};

#[test]
fn uncovered_parts_are_listed_singly() {
    #[track_caller]
    fn check(owner: &[PolicyRule], servant: &[PolicyRule], expected: &[PolicyRule]) {
        assert_eq!(uncovered(owner, servant), expected);
    }
    let pods = || rule("get,list", "", "pods");
    check(&[pods()], &[pods()], &[]);
    check(&[], &[], &[]);
    check(
        &[],
        &[pods()],
        &[rule("get", "", "pods"), rule("list", "", "pods")],
    );
    check(
        &[rule("get", "", "pods"), rule("list", "", "pods")],
        &[pods()],
        &[],
    );
    check(
        &[pods()],
        &[rule("get", "", "pods,nodes")],
        &[rule("get", "", "nodes")],
    );
    check(
        &[pods()],
        &[rule("get", "apps", "pods")],
        &[rule("get", "apps", "pods")],
    );

    check(&[rule("*", "*", "*")], &[rule("*", "*", "*")], &[]);
    check(&[rule("get", "", "*")], &[rule("get", "", "pods/log")], &[]);
    check(
        &[rule("get,list", "", "pods")],
        &[rule("*", "", "pods")],
        &[rule("*", "", "pods")],
    );
    check(
        &[rule("get", "", "pods")],
        &[rule("get", "", "*")],
        &[rule("get", "", "*")],
    );

    check(
        &[rule("get", "", "*/log")],
        &[rule("get", "", "pods/log")],
        &[],
    );
    check(
        &[rule("get", "", "*/log")],
        &[rule("get", "", "*/log")],
        &[],
    );
    check(
        &[rule("get", "", "*/log")],
        &[rule("get", "", "pods")],
        &[rule("get", "", "pods")],
    );
    check(
        &[rule("get", "", "pods/log")],
        &[rule("get", "", "*/log")],
        &[rule("get", "", "*/log")],
    );
}

#[test]
fn names_are_covered_by_names_or_by_none() {
    let get = || rule("get", "", "pods");
    #[track_caller]
    fn check(owner: PolicyRule, servant: PolicyRule, expected: &[PolicyRule]) {
        assert_eq!(uncovered(&[owner], &[servant]), expected);
    }
    check(get(), named(get(), "a,b"), &[]);
    check(named(get(), "a,b"), named(get(), "a"), &[]);
    check(named(get(), "a"), named(get(), "a,b"), &[named(get(), "b")]);
    check(named(get(), "a"), get(), &[get()]);
}

#[test]
fn paths_are_covered_by_patterns() {
    #[track_caller]
    fn check(owner: &str, servant: &str, expected: &[&str]) {
        let expected: Vec<PolicyRule> = expected.iter().map(|url| on_paths("get", url)).collect();
        let missing = uncovered(&[on_paths("get", owner)], &[on_paths("get", servant)]);
        assert_eq!(missing, expected);
    }
    check("/a", "/a,/b", &["/b"]);
    check("/a/*", "/a/b,/a/*,/a/b/*,/a", &["/a"]);
    check("*", "/a,*", &[]);
    check("/a/*", "*", &["*"]);
    let everything = rule("*", "*", "*");
    let url = on_paths("get", "/a");
    assert_eq!(uncovered(&[everything], std::slice::from_ref(&url)), [url]);
}

/// Returns objects by which alice may read pods everywhere and do everything in `shop`, where she
/// is also bound to a missing role.
fn objects() -> Objects {
    Objects::default()
        .cluster_role("reader", &[rule("get,list", "", "pods")])
        .cluster_role("all", &[rule("*", "*", "*")])
        .cluster_role("root", &[rule("*", "*", "*"), on_paths("*", "*")])
        .cluster_role("secrets", &[rule("get,list", "", "secrets")])
        .cluster_role(
            "escalator",
            &[rule("escalate", super::super::GROUP, "clusterroles")],
        )
        .cluster_role(
            "binder",
            &[named(
                rule("bind", super::super::GROUP, "clusterroles"),
                "secrets",
            )],
        )
        .bind_everywhere("a", "reader", &["User:alice"])
        .bind_everywhere("b", "escalator", &["User:erin"])
        .bind_everywhere("c", "binder", &["User:bob"])
        .bind_everywhere("e", "root", &["User:root"])
        .bind("shop/f", "ClusterRole:all", &["User:alice"])
        .bind("mall/g", "Role:gone", &["User:alice"])
        .bind("mall/h", "ClusterRole:binder", &["User:carol"])
}

async fn check_role(user: &UserInfo, write: RoleWrite<'_>) -> Result<(), String> {
    let policy = Arc::new(objects().policy());
    let authorizer = RbacAuthorizer::new(Arc::new(ArcSwap::new(Arc::clone(&policy))));
    let check = EscalationCheck {
        user,
        authorizer: &authorizer,
        policy: &policy,
    };
    check.role(&write).await.map_err(|error| error.to_string())
}

async fn check_binding(user: &UserInfo, role: &str, namespace: &str) -> Result<(), String> {
    let policy = Arc::new(objects().policy());
    let authorizer = RbacAuthorizer::new(Arc::new(ArcSwap::new(Arc::clone(&policy))));
    let check = EscalationCheck {
        user,
        authorizer: &authorizer,
        policy: &policy,
    };
    let result = check.binding(&role_ref(role), namespace).await;
    result.map_err(|error| error.to_string())
}

fn write<'a>(namespace: &'a str, rules: &'a [PolicyRule]) -> RoleWrite<'a> {
    RoleWrite {
        resource: if namespace.is_empty() {
            "clusterroles"
        } else {
            "roles"
        },
        namespace,
        name: "",
        rules,
        aggregates: false,
    }
}

#[tokio::test]
async fn held_permissions_may_be_put_into_a_role() {
    let alice = user("alice", &["dev", "ops"]);
    let pods = [rule("get", "", "pods")];
    assert_eq!(check_role(&alice, write("", &pods)).await, Ok(()));
    let secrets = [rule("get,delete", "", "secrets")];
    assert_eq!(check_role(&alice, write("shop", &secrets)).await, Ok(()));
    assert_eq!(check_role(&alice, write("", &[])).await, Ok(()));
}

#[tokio::test]
async fn missing_permissions_are_listed_compactly_in_order() {
    let alice = user("alice", &["dev", "ops"]);
    let rules = [
        on_paths("get", "/metrics"),
        rule("get,delete", "", "secrets,pods"),
    ];
    let expected = concat!(
        r#"user "alice" (groups=["dev" "ops"]) is attempting to grant RBAC permissions not currently held:"#,
        "\n",
        r#"{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}"#,
        "\n",
        r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get" "delete"]}"#,
        "\n",
        r#"{NonResourceURLs:["/metrics"], Verbs:["get"]}"#,
    );
    assert_eq!(
        check_role(&alice, write("", &rules)).await,
        Err(expected.to_owned())
    );
}

/// Two lists of a few kilobytes can have more combinations than memory holds.
#[tokio::test]
async fn combinations_of_a_role_are_bounded() {
    let list = |count: usize, name: &str| -> String {
        let names: Vec<String> = (0..count).map(|number| format!("{name}{number}")).collect();
        names.join(",")
    };
    let alice = user("alice", &[]);
    let most = [
        rule(&list(100, "v"), "", &list(199, "r")),
        on_paths(&list(10, "v"), &list(10, "/p")),
    ];
    let refused = check_role(&alice, write("", &most)).await.unwrap_err();
    assert!(refused.contains("not currently held"), "{refused}");
    let more = [most[0].clone(), on_paths(&list(101, "v"), "/p")];
    let expected = "the rules have 20001 combinations of verbs, groups, resources, names and paths, and at most 20000 can be compared \
                    with the permissions of the user: use fewer or split the role";
    assert_eq!(
        check_role(&alice, write("", &more)).await,
        Err(expected.to_owned())
    );
    let named = PolicyRule {
        resource_names: Some((0..100_000).map(|number| number.to_string()).collect()),
        ..rule(&list(50_000, "v"), &list(50_000, "g"), &list(50_000, "r"))
    };
    let refused = check_role(&alice, write("", &[named])).await.unwrap_err();
    assert!(
        refused.contains("the rules have 12500000000000000000 combinations"),
        "{refused}"
    );
}

#[tokio::test]
async fn unresolved_roles_of_the_user_are_told() {
    let alice = user("alice", &[]);
    let rules = [rule("get", "", "x")];
    let expected = concat!(
        r#"user "alice" (groups=[]) is attempting to grant RBAC permissions not currently held:"#,
        "\n",
        r#"{APIGroups:[""], Resources:["x"], Verbs:["get"]}; "#,
        r#"resolution errors: [role.rbac.authorization.k8s.io "gone" not found]"#,
    );
    assert_eq!(
        check_role(&alice, write("mall", &rules)).await,
        Err(expected.to_owned())
    );
}

#[tokio::test]
async fn escalate_verb_and_masters_are_not_checked() {
    let rules = [rule("*", "*", "*")];
    assert_eq!(
        check_role(&user("erin", &[]), write("", &rules)).await,
        Ok(())
    );
    let in_namespace = check_role(&user("erin", &[]), write("shop", &rules)).await;
    assert!(
        in_namespace.is_err(),
        "erin may escalate clusterroles, not roles"
    );
    let master = user("m", &["system:masters"]);
    assert_eq!(check_role(&master, write("shop", &rules)).await, Ok(()));
}

#[tokio::test]
async fn aggregation_needs_everything() {
    let aggregating = RoleWrite {
        aggregates: true,
        ..write("", &[])
    };
    let refused = "must have cluster-admin privileges to use the aggregationRule".to_owned();
    let alice = check_role(&user("alice", &[]), aggregating).await;
    assert_eq!(alice, Err(refused));
    assert_eq!(check_role(&user("root", &[]), aggregating).await, Ok(()));
}

#[tokio::test]
async fn held_roles_may_be_bound() {
    let alice = user("alice", &[]);
    assert_eq!(
        check_binding(&alice, "ClusterRole:reader", "").await,
        Ok(())
    );
    assert_eq!(
        check_binding(&alice, "ClusterRole:secrets", "shop").await,
        Ok(())
    );
    let expected = concat!(
        r#"user "alice" (groups=[]) is attempting to grant RBAC permissions not currently held:"#,
        "\n",
        r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}"#,
    );
    let refused = check_binding(&alice, "ClusterRole:secrets", "").await;
    assert_eq!(refused, Err(expected.to_owned()));
}

#[tokio::test]
async fn bind_verb_counts_where_the_binding_is_made() {
    let bob = user("bob", &[]);
    assert_eq!(check_binding(&bob, "ClusterRole:secrets", "").await, Ok(()));
    assert_eq!(
        check_binding(&bob, "ClusterRole:secrets", "shop").await,
        Ok(())
    );
    assert!(check_binding(&bob, "ClusterRole:all", "").await.is_err());
    let carol = user("carol", &[]);
    assert_eq!(
        check_binding(&carol, "ClusterRole:secrets", "mall").await,
        Ok(())
    );
    assert!(
        check_binding(&carol, "ClusterRole:secrets", "shop")
            .await
            .is_err()
    );
    assert!(
        check_binding(&carol, "ClusterRole:secrets", "")
            .await
            .is_err()
    );
}

#[tokio::test]
async fn missing_role_can_only_be_bound_with_the_verb() {
    let alice = user("alice", &[]);
    let gone = r#"clusterrole.rbac.authorization.k8s.io "gone" not found"#;
    let refused = check_binding(&alice, "ClusterRole:gone", "").await;
    assert_eq!(refused, Err(gone.to_owned()));
    let root = user("root", &[]);
    assert_eq!(check_binding(&root, "ClusterRole:gone", "").await, Ok(()));
    let odd = check_binding(&root, "Widget:x", "").await;
    assert_eq!(
        odd,
        Err(r#"unsupported role reference kind: "Widget""#.to_owned())
    );
}

struct Broken;

#[async_trait]
impl Authorizer for Broken {
    async fn authorize(&self, _: &UserInfo, _: &Attributes) -> Result<Decision, AuthorizerError> {
        Err(AuthorizerError::Unavailable {
            authorizer: "broken",
            source: "connection refused".into(),
        })
    }

    async fn rules(&self, _: &UserInfo, _: &str) -> Result<Rules, AuthorizerError> {
        Ok(Rules::default())
    }
}

#[tokio::test]
async fn failing_authorizer_leaves_only_held_permissions() {
    let policy = objects().policy();
    let check = EscalationCheck {
        user: &user("alice", &[]),
        authorizer: &Broken,
        policy: &policy,
    };
    let held = check.binding(&role_ref("ClusterRole:reader"), "").await;
    assert_eq!(held, Ok(()));
    let not_held = check.binding(&role_ref("ClusterRole:secrets"), "").await;
    assert!(matches!(not_held, Err(EscalationError::Forbidden(_))));
}

#[test]
fn garbage_collection_fields_alone_need_no_check() {
    #[track_caller]
    fn check(change: fn(&mut ClusterRole), expected: bool) {
        let old = cluster_role("x", &[rule("get", "", "pods")]);
        let mut new = old.clone();
        change(&mut new);
        assert_eq!(changes_only_garbage_collection(&new, &old), expected);
    }
    check(|_| {}, true);
    check(
        |role| role.metadata.finalizers = Some(vec!["x/y".to_owned()]),
        true,
    );
    check(
        |role| role.metadata.owner_references = Some(vec![OwnerReference::default()]),
        true,
    );
    check(|role| role.metadata.managed_fields = Some(vec![]), true);
    check(|role| role.metadata.labels = Some([].into()), false);
    check(|role| role.rules = None, false);
}
