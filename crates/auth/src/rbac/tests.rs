use k8s_openapi::api::authorization::v1::{NonResourceRule, ResourceRule};
use k8s_openapi::api::rbac::v1::PolicyRule;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_oneof, proptest};
use proptest::sample::{select, subsequence};

use super::fixtures::{Objects, named, on_paths, role_ref, rule, user};
use super::*;
use crate::user::SYSTEM_MASTERS;

const READER: &str = "reader";

/// Returns objects that bind alice, the group `dev` and a ServiceAccount, everywhere and in the
/// namespace `shop`.
fn objects() -> Objects {
    Objects::default()
        .cluster_role(READER, &[rule("get,list", "", "pods")])
        .cluster_role("admin", &[rule("*", "*", "*"), on_paths("*", "*")])
        .role(
            "shop",
            "editor",
            &[named(rule("update", "", "secrets"), "a")],
        )
        .bind_everywhere("alices", READER, &["User:alice"])
        .bind_everywhere("masters", "admin", &["Group:system:masters"])
        .bind_everywhere("bots", READER, &["ServiceAccount:shop/bot"])
        .bind("shop/devs", "Role:editor", &["User:carol", "Group:dev"])
        .bind(
            "shop/local",
            "ClusterRole:reader",
            &["ServiceAccount:clerk"],
        )
        .bind(
            "shop/guests",
            "ClusterRole:reader",
            &["ServiceAccount:mall/guest"],
        )
        .bind("mall/devs", "ClusterRole:admin", &["Group:dev"])
}

fn allow(reason: &str) -> Decision {
    let reason = reason.to_owned();
    Decision::Allow { reason }
}

fn no_opinion(reason: &str) -> Decision {
    let reason = reason.to_owned();
    Decision::NoOpinion { reason }
}

#[track_caller]
fn check(user: &UserInfo, attributes: Attributes, expected: Decision) {
    let decision = objects().policy().decide(user, &attributes);
    assert_eq!(decision, expected, "{attributes:?}");
}

fn get_pods(namespace: &str) -> Attributes {
    Attributes::resource("get", "", "pods").in_namespace(namespace)
}

fn update_secret(namespace: &str, name: &str) -> Attributes {
    Attributes::resource("update", "", "secrets")
        .in_namespace(namespace)
        .object(name)
}

#[test]
fn cluster_role_binding_applies_in_every_namespace() {
    let alice = user("alice", &[]);
    let by =
        r#"RBAC: allowed by ClusterRoleBinding "alices" of ClusterRole "reader" to User "alice""#;
    check(&alice, get_pods(""), allow(by));
    check(&alice, get_pods("shop"), allow(by));
    check(&alice, update_secret("shop", "a"), no_opinion(""));
}

#[test]
fn role_binding_applies_in_its_namespace_only() {
    let carol = user("carol", &[]);
    let by = r#"RBAC: allowed by RoleBinding "devs/shop" of Role "editor" to User "carol""#;
    check(&carol, update_secret("shop", "a"), allow(by));
    check(&carol, update_secret("shop", "b"), no_opinion(""));
    check(&carol, update_secret("shop", ""), no_opinion(""));
    check(&carol, update_secret("mall", "a"), no_opinion(""));
    check(&carol, update_secret("", "a"), no_opinion(""));
}

#[test]
fn groups_are_bound_by_name() {
    let by = r#"RBAC: allowed by RoleBinding "devs/shop" of Role "editor" to Group "dev""#;
    let bob = user("bob", &["ops", "dev"]);
    check(&bob, update_secret("shop", "a"), allow(by));
    check(
        &user("dev", &[]),
        update_secret("shop", "a"),
        no_opinion(""),
    );
    let misnamed = user("bob", &["alice"]);
    check(&misnamed, get_pods(""), no_opinion(""));
}

#[test]
fn cluster_role_in_a_role_binding_reaches_neither_paths_nor_other_namespaces() {
    let bob = user("bob", &["dev"]);
    let by = r#"RBAC: allowed by RoleBinding "devs/mall" of ClusterRole "admin" to Group "dev""#;
    check(&bob, get_pods("mall"), allow(by));
    check(&bob, get_pods("street"), no_opinion(""));
    check(&bob, get_pods(""), no_opinion(""));
    check(&bob, Attributes::path("get", "/metrics"), no_opinion(""));
    let root = user("root", &[SYSTEM_MASTERS]);
    let by = r#"RBAC: allowed by ClusterRoleBinding "masters" of ClusterRole "admin" to Group "system:masters""#;
    check(&root, Attributes::path("get", "/metrics"), allow(by));
}

#[test]
fn service_accounts_are_bound_by_namespace_and_name() {
    let bot = user("system:serviceaccount:shop:bot", &[]);
    let by = r#"RBAC: allowed by ClusterRoleBinding "bots" of ClusterRole "reader" to ServiceAccount "bot/shop""#;
    check(&bot, get_pods("mall"), allow(by));
    let clerk = user("system:serviceaccount:shop:clerk", &[]);
    let by = r#"RBAC: allowed by RoleBinding "local/shop" of ClusterRole "reader" to ServiceAccount "clerk/shop""#;
    check(&clerk, get_pods("shop"), allow(by));
    check(&clerk, get_pods("mall"), no_opinion(""));
    let stranger = user("system:serviceaccount:mall:clerk", &[]);
    check(&stranger, get_pods("shop"), no_opinion(""));
    let guest = user("system:serviceaccount:mall:guest", &[]);
    let by = r#"RBAC: allowed by RoleBinding "guests/shop" of ClusterRole "reader" to ServiceAccount "guest/mall""#;
    check(&guest, get_pods("shop"), allow(by));
    check(&guest, get_pods("mall"), no_opinion(""));
    let namesake = user("system:serviceaccount:shop:guest", &[]);
    check(&namesake, get_pods("shop"), no_opinion(""));
}

#[test]
fn empty_verbs_and_empty_users_are_never_allowed() {
    let root = user("root", &[SYSTEM_MASTERS]);
    check(&root, Attributes::resource("", "", "pods"), no_opinion(""));
    check(&root, Attributes::path("", "/version"), no_opinion(""));
    let nobody = Objects::default()
        .cluster_role(READER, &[rule("get", "", "pods")])
        .bind_everywhere("empty", READER, &["User:", "Group:", "ServiceAccount:bot"])
        .policy();
    for nameless in [user("", &[]), user("", &[""]), user("bot", &[])] {
        assert_eq!(nobody.decide(&nameless, &get_pods("")), no_opinion(""));
    }
}

#[test]
fn administrators_are_those_who_may_use_the_star_resource() {
    let policy = Objects::default()
        .cluster_role(
            "all-kubeconfigs",
            &[rule("*", "ext.cattle.io", "kubeconfigs")],
        )
        .cluster_role("remover", &[rule("delete", "*", "*")])
        .bind_everywhere("a", "all-kubeconfigs", &["User:alice"])
        .bind_everywhere("b", "remover", &["User:bob"])
        .policy();
    #[track_caller]
    fn check(policy: &Policy, name: &str, verb: &str, expected: bool) {
        let decision = policy.decide(&user(name, &[]), &Attributes::on_everything(verb));
        assert_eq!(decision.is_allowed(), expected, "{name} {verb}");
    }
    check(&policy, "alice", "list", false);
    check(&policy, "bob", "list", false);
    check(&policy, "bob", "delete", true);
    check(&policy, "bob", "deletecollection", true);
}

#[test]
fn bindings_to_missing_roles_grant_nothing_and_are_named() {
    let objects = Objects::default()
        .bind_everywhere("a", "gone", &["User:alice", "Group:dev"])
        .bind("shop/b", "Role:lost", &["User:alice"])
        .bind("shop/c", "Widget:odd", &["User:alice"]);
    let alice = user("alice", &["dev"]);
    #[track_caller]
    fn check(objects: &Objects, alice: &UserInfo, namespace: &str, expected: Decision) {
        let decision = objects.policy().decide(alice, &get_pods(namespace));
        assert_eq!(decision, expected);
    }
    let gone = r#"clusterrole.rbac.authorization.k8s.io "gone" not found"#;
    check(&objects, &alice, "", no_opinion(&format!("RBAC: {gone}")));
    let lost = r#"role.rbac.authorization.k8s.io "lost" not found"#;
    let odd = r#"unsupported role reference kind: "Widget""#;
    let all = format!("RBAC: [{gone}, {lost}, {odd}]");
    check(&objects, &alice, "shop", no_opinion(&all));
    let rescued = objects
        .cluster_role(READER, &[rule("get", "", "pods")])
        .bind("shop/d", "ClusterRole:reader", &["Group:dev"]);
    let by = r#"RBAC: allowed by RoleBinding "d/shop" of ClusterRole "reader" to Group "dev""#;
    check(&rescued, &alice, "shop", allow(by));
}

#[test]
fn role_of_another_namespace_does_not_resolve() {
    let policy = objects().policy();
    let editor = role_ref("Role:editor");
    let not_found = RoleRefError::NotFound {
        resource: "role",
        name: "editor".to_owned(),
    };
    assert_eq!(policy.role_rules(&editor, "mall"), Err(not_found.clone()));
    assert_eq!(policy.role_rules(&editor, ""), Err(not_found));
    let rules = [named(rule("update", "", "secrets"), "a")];
    assert_eq!(policy.role_rules(&editor, "shop"), Ok(rules.as_slice()));
}

#[test]
fn role_bound_twice_is_held_once() {
    let policy = objects()
        .bind_everywhere("again", READER, &["User:alice", "Group:dev"])
        .policy();
    let held = policy.rules_for(&user("alice", &["dev"]), "").rules;
    assert_eq!(held, [&rule("get,list", "", "pods")]);
}

#[tokio::test]
async fn authorizer_follows_its_source() {
    let source = Arc::new(ArcSwap::from_pointee(Policy::default()));
    let authorizer = RbacAuthorizer::new(Arc::clone(&source));
    let alice = user("alice", &[]);
    let before = authorizer.authorize(&alice, &get_pods("")).await.unwrap();
    assert!(!before.is_allowed());
    source.store(Arc::new(objects().policy()));
    let after = authorizer.authorize(&alice, &get_pods("")).await.unwrap();
    assert!(after.is_allowed());
}

#[tokio::test]
async fn review_lists_every_rule_once() {
    let policy = Objects::default()
        .cluster_role(
            READER,
            &[rule("get,list", "", "pods"), on_paths("get", "/version")],
        )
        .cluster_role("watcher", &[rule("list,watch", "", "pods")])
        .cluster_role("copy", &[rule("get,list", "", "pods")])
        .role(
            "shop",
            "editor",
            &[named(rule("update", "", "secrets"), "a")],
        )
        .bind_everywhere("a", READER, &["User:alice"])
        .bind_everywhere("b", "watcher", &["User:alice"])
        .bind_everywhere("c", "copy", &["User:alice"])
        .bind_everywhere("d", "gone", &["User:alice"])
        .bind("shop/e", "Role:editor", &["User:alice"])
        .policy();
    let authorizer = RbacAuthorizer::new(ArcSwap::from_pointee(policy));
    let texts = |values: &[&str]| values.iter().map(|text| (*text).to_owned()).collect();
    let rules = authorizer.rules(&user("alice", &[]), "shop").await.unwrap();
    let expected = crate::Rules {
        resource_rules: vec![
            ResourceRule {
                api_groups: Some(texts(&[""])),
                resources: Some(texts(&["secrets"])),
                resource_names: Some(texts(&["a"])),
                verbs: texts(&["update"]),
            },
            ResourceRule {
                api_groups: Some(texts(&[""])),
                resources: Some(texts(&["pods"])),
                resource_names: None,
                verbs: texts(&["get", "list", "watch"]),
            },
        ],
        non_resource_rules: vec![NonResourceRule {
            non_resource_urls: Some(texts(&["/version"])),
            verbs: texts(&["get"]),
        }],
        incomplete: false,
        evaluation_error: Some(
            r#"clusterrole.rbac.authorization.k8s.io "gone" not found"#.to_owned(),
        ),
    };
    assert_eq!(rules, expected);
}

fn words(pool: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    subsequence(pool, 0..=pool.len())
        .prop_map(|words| words.into_iter().map(str::to_owned).collect())
}

fn some_rule() -> impl Strategy<Value = PolicyRule> {
    let on_resources = (
        words(&["get", "list", "*"]),
        words(&["", "apps", "*"]),
        words(&["pods", "pods/log", "*/log", "*"]),
        prop_oneof![Just(vec![]), words(&["a", "b"])],
    )
        .prop_map(|(verbs, groups, resources, names)| PolicyRule {
            verbs,
            api_groups: Some(groups),
            resources: Some(resources),
            resource_names: Some(names),
            non_resource_urls: None,
        });
    let on_urls = (
        words(&["get", "list", "*"]),
        words(&["/a", "/a/*", "/a*", "*"]),
    )
        .prop_map(|(verbs, urls)| PolicyRule {
            verbs,
            non_resource_urls: Some(urls),
            ..PolicyRule::default()
        });
    prop_oneof![3 => on_resources, 1 => on_urls]
}

fn some_rules() -> impl Strategy<Value = Vec<PolicyRule>> {
    proptest::collection::vec(some_rule(), 0..5)
}

fn some_attributes() -> impl Strategy<Value = Attributes> {
    let resource = (
        select(vec!["get", "list"]),
        select(vec!["", "apps"]),
        select(vec!["pods", "nodes"]),
        select(vec!["", "log"]),
        select(vec!["", "a", "b"]),
    )
        .prop_map(|(verb, group, resource, subresource, name)| {
            Attributes::resource(verb, group, resource)
                .subresource(subresource)
                .object(name)
        });
    let path = (
        select(vec!["get", "list"]),
        select(vec!["/a", "/a/b", "/ab", "/b"]),
    )
        .prop_map(|(verb, path)| Attributes::path(verb, path));
    prop_oneof![3 => resource, 1 => path]
}

fn allows(rules: &[PolicyRule], attributes: &Attributes) -> bool {
    let policy = Objects::default()
        .cluster_role("x", rules)
        .bind_everywhere("x", "x", &["User:alice"])
        .policy();
    policy.decide(&user("alice", &[]), attributes).is_allowed()
}

proptest! {
    #[test]
    fn more_rules_never_take_an_allowance_away(
        rules in some_rules(),
        more in some_rules(),
        attributes in some_attributes(),
        position in any::<proptest::sample::Index>(),
    ) {
        let mut all = rules.clone();
        let position = position.index(all.len() + 1);
        all.splice(position..position, more);
        prop_assert!(!allows(&rules, &attributes) || allows(&all, &attributes));
    }

    #[test]
    fn covered_rules_allow_nothing_beyond_the_owners(
        owner in some_rules(),
        servant in some_rules(),
        attributes in some_attributes(),
    ) {
        let is_covered = escalation::uncovered(&owner, &servant).is_empty();
        let grows = allows(&servant, &attributes) && !allows(&owner, &attributes);
        prop_assert!(!(is_covered && grows));
    }

    #[test]
    fn uncovered_rules_complete_the_owners(
        owner in some_rules(),
        servant in some_rules(),
    ) {
        let mut all = owner.clone();
        all.extend(escalation::uncovered(&owner, &servant));
        prop_assert!(escalation::uncovered(&all, &servant).is_empty());
    }

    #[test]
    fn compacting_changes_no_decision(rules in some_rules(), attributes in some_attributes()) {
        let compacted = super::rule::compact(&rules);
        prop_assert!(allows(&rules, &attributes) == allows(&compacted, &attributes));
    }

    #[test]
    fn binding_in_another_namespace_grants_nothing(
        rules in some_rules(),
        attributes in some_attributes(),
    ) {
        let policy = Objects::default()
            .cluster_role("x", &rules)
            .bind("mall/x", "ClusterRole:x", &["User:alice"])
            .policy();
        let elsewhere = attributes.in_namespace("shop");
        prop_assert!(!policy.decide(&user("alice", &[]), &elsewhere).is_allowed());
    }
}
