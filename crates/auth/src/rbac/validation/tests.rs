use super::*;

fn rule(groups: &[&str], resources: &[&str], names: &[&str], verbs: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(owned(groups)),
        resources: Some(owned(resources)),
        resource_names: Some(owned(names)),
        verbs: owned(verbs),
        non_resource_urls: None,
    }
}

fn url_rule(url: &str) -> PolicyRule {
    PolicyRule {
        non_resource_urls: Some(owned(&[url])),
        verbs: owned(&["get"]),
        ..PolicyRule::default()
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn role_ref(group: &str, kind: &str, name: &str) -> RoleRef {
    RoleRef {
        api_group: Some(group.to_owned()),
        kind: kind.to_owned(),
        name: name.to_owned(),
    }
}

fn subject(group: &str, kind: &str, name: &str, namespace: &str) -> Subject {
    Subject {
        api_group: Some(group.to_owned()),
        kind: kind.to_owned(),
        name: name.to_owned(),
        namespace: Some(namespace.to_owned()),
    }
}

#[track_caller]
fn check(errors: ErrorList, expected: &[&str]) {
    let texts: Vec<String> = errors.iter().map(Error::to_string).collect();
    assert_eq!(texts, expected);
}

#[track_caller]
fn check_rule(rule: PolicyRule, in_role: &[&str], in_cluster_role: &[&str]) {
    let role = Role {
        rules: Some(vec![rule.clone()]),
        ..Role::default()
    };
    check(validate_role(&role), in_role);
    let cluster_role = ClusterRole {
        rules: Some(vec![rule]),
        ..ClusterRole::default()
    };
    check(validate_cluster_role(&cluster_role), in_cluster_role);
}

#[test]
fn rules_name_verbs_and_resources_or_paths() {
    check_rule(rule(&[""], &["pods"], &["web"], &["get"]), &[], &[]);
    check_rule(rule(&[""], &["pods", "nodes"], &[], &["*"]), &[], &[]);
    let empty = [
        "rules[0].verbs: Required value: verbs must contain at least one value",
        "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
        "rules[0].resources: Required value: resource rules must supply at least one resource",
    ];
    check_rule(PolicyRule::default(), &empty, &empty);
    check_rule(rule(&[""], &["pods", "nodes"], &["x"], &["get"]), &[], &[]);
}

#[test]
fn paths_belong_to_cluster_roles_and_stand_alone() {
    let namespaced = r#"rules[0].nonResourceURLs: Invalid value: ["/metrics"]: namespaced rules cannot apply to non-resource URLs"#;
    let mixed = r#"rules[0].nonResourceURLs: Invalid value: ["/metrics"]: rules cannot apply to both regular resources and non-resource URLs"#;
    check_rule(url_rule("/metrics"), &[namespaced], &[]);
    let with_names = PolicyRule {
        resource_names: Some(owned(&["x"])),
        ..url_rule("/metrics")
    };
    check_rule(with_names, &[namespaced, mixed], &[mixed]);
}

#[test]
fn second_rule_is_named_by_its_index() {
    let role = Role {
        rules: Some(vec![
            rule(&[""], &["pods"], &[], &["get"]),
            rule(&[""], &["pods"], &[], &[]),
        ]),
        ..Role::default()
    };
    check(
        validate_role(&role),
        &["rules[1].verbs: Required value: verbs must contain at least one value"],
    );
}

#[test]
fn role_reference_is_to_a_role_of_the_group() {
    #[track_caller]
    fn check_ref(role_ref: RoleRef, in_namespace: &[&str], in_cluster: &[&str]) {
        let binding = RoleBinding {
            role_ref: role_ref.clone(),
            ..RoleBinding::default()
        };
        check(validate_role_binding(&binding), in_namespace);
        let cluster_binding = ClusterRoleBinding {
            role_ref,
            ..ClusterRoleBinding::default()
        };
        check(validate_cluster_role_binding(&cluster_binding), in_cluster);
    }
    check_ref(role_ref(GROUP, "ClusterRole", "system:x"), &[], &[]);
    check_ref(
        role_ref(GROUP, "Role", "x"),
        &[],
        &[r#"roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole""#],
    );
    let group =
        r#"roleRef.apiGroup: Unsupported value: "": supported values: "rbac.authorization.k8s.io""#;
    check_ref(
        role_ref("", "", ""),
        &[
            group,
            r#"roleRef.kind: Unsupported value: "": supported values: "Role", "ClusterRole""#,
            "roleRef.name: Required value",
        ],
        &[
            group,
            r#"roleRef.kind: Unsupported value: "": supported values: "ClusterRole""#,
            "roleRef.name: Required value",
        ],
    );
    let names = [
        r#"roleRef.name: Invalid value: "a/b%": may not contain '/'"#,
        r#"roleRef.name: Invalid value: "a/b%": may not contain '%'"#,
    ];
    check_ref(role_ref(GROUP, "ClusterRole", "a/b%"), &names, &names);
}

#[track_caller]
fn check_subject(subject: Subject, in_namespace: &[&str], in_cluster: &[&str]) {
    let role_ref = role_ref(GROUP, "ClusterRole", "x");
    let binding = RoleBinding {
        role_ref: role_ref.clone(),
        subjects: Some(vec![subject.clone()]),
        ..RoleBinding::default()
    };
    check(validate_role_binding(&binding), in_namespace);
    let cluster_binding = ClusterRoleBinding {
        role_ref,
        subjects: Some(vec![subject]),
        ..ClusterRoleBinding::default()
    };
    check(validate_cluster_role_binding(&cluster_binding), in_cluster);
}

#[test]
fn users_and_groups_need_a_name_and_the_group() {
    check_subject(subject(GROUP, "User", "alice@example.com", ""), &[], &[]);
    check_subject(subject(GROUP, "Group", "system:masters", ""), &[], &[]);
    let user = [
        "subjects[0].name: Required value",
        r#"subjects[0].name: Invalid value: "": user name cannot be empty"#,
        r#"subjects[0].apiGroup: Unsupported value: "": supported values: "rbac.authorization.k8s.io""#,
    ];
    check_subject(subject("", "User", "", ""), &user, &user);
    let group = [
        "subjects[0].name: Required value",
        r#"subjects[0].name: Invalid value: "": group name cannot be empty"#,
    ];
    check_subject(subject(GROUP, "Group", "", ""), &group, &group);
}

#[test]
fn service_accounts_need_a_namespace_in_cluster_bindings() {
    check_subject(subject("", "ServiceAccount", "bot", "shop"), &[], &[]);
    check_subject(
        subject("", "ServiceAccount", "bot", ""),
        &[],
        &["subjects[0].namespace: Required value"],
    );
    let wrong = [
        r#"subjects[0].name: Invalid value: "Bot": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"#,
        r#"subjects[0].apiGroup: Unsupported value: "rbac.authorization.k8s.io": supported values: """#,
    ];
    check_subject(
        subject(GROUP, "ServiceAccount", "Bot", "shop"),
        &wrong,
        &wrong,
    );
}

#[test]
fn other_kinds_of_subject_are_not_supported() {
    let kind = [
        r#"subjects[0].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group""#,
    ];
    check_subject(subject(GROUP, "Robot", "r2", ""), &kind, &kind);
}

#[test]
fn role_reference_cannot_change() {
    let old = role_ref(GROUP, "ClusterRole", "view");
    check(validate_role_ref_update(&old.clone(), &old), &[]);
    check(
        validate_role_ref_update(&role_ref(GROUP, "ClusterRole", "edit"), &old),
        &[
            r#"roleRef: Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"ClusterRole","Name":"edit"}: cannot change roleRef"#,
        ],
    );
}

#[test]
fn missing_api_groups_are_filled_in() {
    let mut reference = role_ref("", "Role", "x");
    default_role_ref(&mut reference);
    assert_eq!(reference, role_ref(GROUP, "Role", "x"));

    let mut subjects = [
        subject("", "User", "alice", ""),
        subject("", "Group", "dev", ""),
        subject("", "ServiceAccount", "bot", "shop"),
        subject("acme.com", "User", "bob", ""),
    ];
    default_subjects(&mut subjects);
    let expected = [
        subject(GROUP, "User", "alice", ""),
        subject(GROUP, "Group", "dev", ""),
        subject("", "ServiceAccount", "bot", "shop"),
        subject("acme.com", "User", "bob", ""),
    ];
    assert_eq!(subjects, expected);
}
