use super::*;
use crate::authorizer::{Attributes, Decision};
use crate::rbac::Policy;
use crate::rbac::fixtures::{Objects, user};
use crate::rbac::validation::{validate_cluster_role, validate_cluster_role_binding};
use crate::user::{ALL_UNAUTHENTICATED, ANONYMOUS};

fn policy() -> Policy {
    Policy::build(&cluster_roles(), &[], &cluster_role_bindings(), &[])
}

#[track_caller]
fn check(groups: &[&str], attributes: Attributes, expected: bool) {
    let decision = policy().decide(&user("alice", groups), &attributes);
    assert_eq!(decision.is_allowed(), expected, "{groups:?} {attributes:?}");
}

#[test]
fn masters_may_do_everything() {
    let masters = [SYSTEM_MASTERS];
    check(
        &masters,
        Attributes::resource("delete", "apps", "pods"),
        true,
    );
    check(&masters, Attributes::on_everything("list"), true);
    check(&masters, Attributes::path("get", "/metrics"), true);
}

#[test]
fn authenticated_users_discover_and_ask_about_themselves() {
    let authenticated = [ALL_AUTHENTICATED];
    let create = |group, resource| Attributes::resource("create", group, resource);
    for path in ["/api", "/apis/apps/v1", "/openapi/v3", "/version", "/livez"] {
        check(&authenticated, Attributes::path("get", path), true);
        check(&authenticated, Attributes::path("post", path), false);
        check(&[ALL_UNAUTHENTICATED], Attributes::path("get", path), false);
    }
    check(&authenticated, Attributes::path("get", "/metrics"), false);
    for review in ["selfsubjectaccessreviews", "selfsubjectrulesreviews"] {
        check(&authenticated, create("authorization.k8s.io", review), true);
    }
    let whoami = create("authentication.k8s.io", "selfsubjectreviews");
    check(&authenticated, whoami, true);
    let others = create("authorization.k8s.io", "subjectaccessreviews");
    check(&authenticated, others, false);
    check(
        &authenticated,
        Attributes::resource("get", "", "pods"),
        false,
    );
}

#[test]
fn anonymous_callers_get_nothing() {
    let anonymous = user(ANONYMOUS, &[ALL_UNAUTHENTICATED]);
    for path in ["/", "/api", "/version", "/livez"] {
        let decision = policy().decide(&anonymous, &Attributes::path("get", path));
        let reason = String::new();
        assert_eq!(decision, Decision::NoOpinion { reason });
    }
}

#[test]
fn admin_edit_and_view_build_on_each_other() {
    #[track_caller]
    fn check(role: &str, verb: &str, group: &str, resource: &str, expected: bool) {
        let bound = Objects::with_cluster_roles(cluster_roles());
        let role_ref = format!("ClusterRole:{role}");
        let policy = bound.bind("shop/x", &role_ref, &["User:alice"]).policy();
        let attributes = Attributes::resource(verb, group, resource).in_namespace("shop");
        let decision = policy.decide(&user("alice", &[]), &attributes);
        assert_eq!(decision.is_allowed(), expected, "{role} {attributes:?}");
    }
    for role in ["view", "edit", "admin"] {
        let may_write = role != "view";
        check(role, "list", "", "configmaps", true);
        check(role, "get", "", "namespaces", true);
        check(role, "delete", "", "namespaces", false);
        check(role, "get", "", "secrets", may_write);
        check(role, "update", "", "secrets", may_write);
        check(role, "create", "", "configmaps", may_write);
        check(
            role,
            "create",
            super::super::GROUP,
            "rolebindings",
            role == "admin",
        );
        check(role, "bind", super::super::GROUP, "roles", false);
        check(role, "escalate", super::super::GROUP, "roles", false);
    }
}

#[test]
fn objects_are_valid_and_marked_for_update() {
    for role in cluster_roles() {
        assert_eq!(validate_cluster_role(&role), []);
        let annotations = role.metadata.annotations.unwrap();
        assert_eq!(annotations[AUTO_UPDATE_ANNOTATION], "true");
    }
    for binding in cluster_role_bindings() {
        assert_eq!(validate_cluster_role_binding(&binding), []);
        let labels = binding.metadata.labels.unwrap();
        assert_eq!(labels[BOOTSTRAPPING_LABEL.0], BOOTSTRAPPING_LABEL.1);
    }
}

#[test]
fn every_binding_refers_to_a_role_and_nothing_is_left_to_aggregate() {
    let roles = cluster_roles();
    for binding in cluster_role_bindings() {
        let names = roles.iter().map(|role| role.metadata.name.as_deref());
        assert_eq!(
            names
                .filter(|name| *name == Some(&binding.role_ref.name))
                .count(),
            1
        );
    }
    for role in &roles {
        assert_eq!(aggregate(role, &roles), None);
    }
}
