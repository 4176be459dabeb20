use super::*;
use crate::rbac::fixtures::{named, on_paths, rule};

#[track_caller]
fn check(rule: &PolicyRule, attributes: Attributes, expected: bool) {
    assert_eq!(allows(rule, &attributes), expected, "{attributes:?}");
}

fn get(group: &str, resource: &str) -> Attributes {
    Attributes::resource("get", group, resource)
}

#[test]
fn verbs_groups_and_resources_match_exactly_or_by_star() {
    let read_pods = rule("get,list", ",apps", "pods,deployments");
    check(&read_pods, get("", "pods"), true);
    check(&read_pods, get("apps", "deployments"), true);
    check(&read_pods, get("batch", "pods"), false);
    check(&read_pods, get("", "services"), false);
    check(
        &read_pods,
        Attributes::resource("delete", "", "pods"),
        false,
    );
    check(&read_pods, Attributes::resource("GET", "", "pods"), false);
    check(&read_pods, get("", "*"), false);

    check(
        &rule("*", "", "pods"),
        Attributes::resource("anything", "", "pods"),
        true,
    );
    check(&rule("get", "*", "pods"), get("batch", "pods"), true);
    check(&rule("get", "", "*"), get("", "secrets"), true);
    check(&rule("get", "", "*"), get("", "*"), true);
    check(&rule("get", "", "*"), get("apps", "deployments"), false);
}

#[test]
fn subresources_are_resources_of_their_own() {
    let log = || get("", "pods").subresource("log");
    check(&rule("get", "", "pods"), log(), false);
    check(&rule("get", "", "pods/log"), log(), true);
    check(&rule("get", "", "pods/log"), get("", "pods"), false);
    check(&rule("get", "", "*/log"), log(), true);
    check(&rule("get", "", "*/log"), get("", "pods"), false);
    check(&rule("get", "", "*/og"), log(), false);
    check(&rule("get", "", "*/xlog"), log(), false);
    check(&rule("get", "", "pods/*"), log(), false);
    check(&rule("get", "", "*/*"), log(), false);
    check(&rule("get", "", "*"), log(), true);
    check(
        &rule("get", "", "pods/a/b"),
        get("", "pods/a").subresource("b"),
        true,
    );
    check(
        &rule("get", "", "pods/a/b"),
        get("", "pods").subresource("a/b"),
        true,
    );
}

#[test]
fn names_limit_a_rule_to_single_objects() {
    let one = named(rule("get,list", "", "secrets"), "a,b");
    check(&one, get("", "secrets").object("a"), true);
    check(&one, get("", "secrets").object("c"), false);
    check(&one, Attributes::resource("list", "", "secrets"), false);
    let all = named(rule("get", "", "secrets"), "*");
    check(&all, get("", "secrets").object("a"), false);
}

#[test]
fn paths_match_exactly_or_by_a_final_star() {
    let rule = on_paths("get", "/version,/api/*,/openapi*");
    check(&rule, Attributes::path("get", "/version"), true);
    check(&rule, Attributes::path("get", "/version/"), false);
    check(&rule, Attributes::path("post", "/version"), false);
    check(&rule, Attributes::path("get", "/api"), false);
    check(&rule, Attributes::path("get", "/api/"), true);
    check(&rule, Attributes::path("get", "/api/v1/x"), true);
    check(&rule, Attributes::path("get", "/openapi/v3"), true);
    check(
        &on_paths("*", "*"),
        Attributes::path("head", "/anything"),
        true,
    );
    check(
        &on_paths("get", "/a*b"),
        Attributes::path("get", "/aab"),
        false,
    );
}

#[test]
fn resource_rules_never_allow_paths_and_path_rules_no_resources() {
    check(
        &rule("*", "*", "*"),
        Attributes::path("get", "/version"),
        false,
    );
    check(&on_paths("*", "*"), get("", "pods"), false);
    check(&PolicyRule::default(), get("", "pods"), false);
    check(&PolicyRule::default(), get("", ""), false);
}

#[test]
fn rule_is_printed_in_one_line() {
    #[track_caller]
    fn check(rule: &PolicyRule, expected: &str) {
        assert_eq!(compact_text(rule), expected);
    }
    check(
        &named(rule("get,list", ",apps", "x"), "a b"),
        r#"{APIGroups:["" "apps"], Resources:["x"], ResourceNames:["a b"], Verbs:["get" "list"]}"#,
    );
    check(
        &on_paths("get", "/api/*"),
        r#"{NonResourceURLs:["/api/*"], Verbs:["get"]}"#,
    );
    check(&PolicyRule::default(), "{}");
}

#[test]
fn simple_rules_on_one_resource_are_joined() {
    let compacted = compact(&[
        rule("get", "", "pods"),
        named(rule("get", "", "pods"), "web"),
        rule("list", "apps", "pods"),
        on_paths("get", "/version"),
        rule("list", "", "pods"),
        rule("get", ",apps", "pods"),
    ]);
    let expected = [
        named(rule("get", "", "pods"), "web"),
        on_paths("get", "/version"),
        rule("get", ",apps", "pods"),
        rule("get,list", "", "pods"),
        rule("list", "apps", "pods"),
    ];
    assert_eq!(compacted, expected);
}
