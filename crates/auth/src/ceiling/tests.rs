use serde_json::{Value, json};

use super::*;

fn ceiling(parts: Value) -> Ceiling {
    let rules = parts["rules"].as_array().cloned().unwrap_or_default();
    let namespaces = parts["namespaces"].as_array().cloned().unwrap_or_default();
    Ceiling {
        read_only: parts["readOnly"] == true,
        namespaces: serde_json::from_value(namespaces.into()).unwrap(),
        rules: serde_json::from_value(rules.into()).unwrap(),
    }
}

/// Returns the attributes of `VERB [GROUP/]RESOURCE[/SUBRESOURCE] [NAMESPACE]`, or of `VERB /PATH`.
fn attributes(text: &str) -> Attributes {
    let mut words = text.split(' ');
    let (verb, what) = (words.next().unwrap(), words.next().unwrap());
    if what.starts_with('/') {
        return Attributes::path(verb, what);
    }
    let (group, resource) = match what.split_once(':') {
        Some((group, resource)) => (group, resource),
        None => ("", what),
    };
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    Attributes::resource(verb, group, resource)
        .subresource(subresource)
        .in_namespace(words.next().unwrap_or_default())
}

#[track_caller]
fn check(parts: Value, passing: &[&str], refused: &[&str]) {
    let ceiling = ceiling(parts);
    for (texts, expected) in [(passing, true), (refused, false)] {
        for text in texts {
            assert_eq!(ceiling.permits(&attributes(text)), expected, "{text}");
        }
    }
}

#[test]
fn read_only_permits_reads() {
    check(
        json!({ "readOnly": true }),
        &[
            "get pods a",
            "list pods a",
            "watch pods",
            "list apps:deployments",
            "get pods/log a",
            "get pods/status a",
            "get example.com:secrets a",
            "get nodes",
            "get /metrics",
            "head /metrics",
        ],
        &[
            "create pods a",
            "delete pods a",
            "deletecollection pods a",
            "patch pods a",
            "update pods a",
            "get secrets a",
            "list secrets",
            "watch secrets",
            "get pods/exec a",
            "get pods/attach a",
            "get pods/portforward a",
            "get pods/proxy a",
            "get services/proxy a",
            "get nodes/proxy",
            "create pods/exec a",
            "create serviceaccounts/token a",
            "impersonate users",
            "escalate rbac.authorization.k8s.io:clusterroles",
            "bind rbac.authorization.k8s.io:clusterroles",
            "get * a",
            "get *:secrets a",
            "list *:*",
            "* pods a",
            "post /metrics",
        ],
    );
}

#[test]
fn namespaces_permit_what_is_in_them() {
    check(
        json!({ "namespaces": ["a", "b"] }),
        &[
            "get pods a",
            "delete secrets b",
            "create pods/exec a",
            "get namespaces a",
            "delete namespaces a",
        ],
        &[
            "get pods c",
            "list pods",
            "get nodes",
            "list namespaces",
            "create namespaces",
            "get /metrics",
            "impersonate users",
        ],
    );
}

#[test]
fn rules_permit_what_they_would_permit_in_a_role() {
    let rules = json!([
        { "apiGroups": [""], "resources": ["pods", "pods/exec"], "verbs": ["get", "create"] },
        { "apiGroups": ["apps"], "resources": ["*"], "verbs": ["*"] },
        { "nonResourceURLs": ["/metrics*"], "verbs": ["get"] },
    ]);
    check(
        json!({ "rules": rules }),
        &[
            "get pods a",
            "create pods/exec a",
            "delete apps:deployments a",
            "get /metrics/cadvisor",
        ],
        &[
            "list pods a",
            "get pods/log a",
            "get secrets a",
            "get batch:jobs a",
            "get /logs",
        ],
    );
    let everything = json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }]);
    check(
        json!({ "rules": everything }),
        &[
            "escalate rbac.authorization.k8s.io:clusterroles",
            "get secrets",
        ],
        &[
            "impersonate users",
            "impersonate:user-info users",
            "get /metrics",
        ],
    );
    check(
        json!({ "rules": rules, "readOnly": true, "namespaces": ["a"] }),
        &["get pods a", "list apps:deployments a"],
        &[
            "create pods a",
            "get pods b",
            "get pods/exec a",
            "get /metrics",
        ],
    );
}

#[test]
fn discovery_and_reviews_of_the_caller_always_pass() {
    let nothing = json!({ "rules": [{ "verbs": [] }], "readOnly": true, "namespaces": ["a"] });
    check(
        nothing,
        &[
            "get /api",
            "get /api/v1",
            "get /apis/apps/v1",
            "get /openapi/v3/apis/apps/v1",
            "get /version",
            "get /healthz",
            "create authorization.k8s.io:selfsubjectaccessreviews",
            "create authorization.k8s.io:selfsubjectrulesreviews",
            "create authentication.k8s.io:selfsubjectreviews",
        ],
        &[
            "post /api",
            "get /healthz/etcd",
            "get /versions",
            "get /metrics",
            "create authorization.k8s.io:subjectaccessreviews",
            "create authorization.k8s.io:localsubjectaccessreviews a",
            "create authorization.k8s.io:selfsubjectaccessreviews a",
            "create authorization.k8s.io:selfsubjectaccessreviews/status",
            "create example.com:selfsubjectaccessreviews",
            "list authorization.k8s.io:selfsubjectaccessreviews",
            "get pods a",
        ],
    );
}

/// RBAC refuses to give away what the rules do not contain.
#[test]
fn rules_give_nothing_away_without_the_verb_for_it() {
    let group = "rbac.authorization.k8s.io";
    let rule = |groups: &[&str], resources: &[&str], verbs: &[&str]| json!({ "apiGroups": groups, "resources": resources, "verbs": verbs });
    let writes = ["create", "patch", "update"];
    let lines = |resource: &str| writes.map(|verb| format!("{verb} {resource}"));
    let all = [
        "clusterrolebindings",
        "clusterroles",
        "rolebindings",
        "roles",
    ];
    let bindings = [
        lines("rbac.authorization.k8s.io:clusterrolebindings"),
        lines("rbac.authorization.k8s.io:rolebindings"),
    ]
    .concat();
    let roles = [
        lines("rbac.authorization.k8s.io:clusterroles"),
        lines("rbac.authorization.k8s.io:roles"),
    ]
    .concat();
    let grants = lines("ext.cattle.io:clustergrants").to_vec();
    let texts =
        |lists: &[&Vec<String>]| lists.iter().flat_map(|list| list.iter().cloned()).collect();
    let checked = |rules: Value, passes: Vec<String>, refused: Vec<String>| {
        let [passes, refused] = [&passes, &refused].map(|lines| {
            let lines = lines.iter().map(String::as_str);
            lines.collect::<Vec<_>>()
        });
        check(json!({ "rules": rules }), &passes, &refused);
    };
    let more = |rules: &[Value]| {
        let own = rule(
            &[group, "ext.cattle.io"],
            &[&all[..], &["clustergrants"]].concat(),
            &writes,
        );
        json!([&[own], rules].concat())
    };
    checked(more(&[]), Vec::new(), texts(&[&bindings, &roles, &grants]));
    let escalate = rule(&[group], &["clusterroles", "roles"], &["escalate"]);
    checked(
        more(&[escalate]),
        texts(&[&roles]),
        texts(&[&bindings, &grants]),
    );
    let bind = rule(&[group], &["clusterroles", "roles"], &["bind"]);
    checked(
        more(&[bind]),
        texts(&[&bindings]),
        texts(&[&roles, &grants]),
    );
    let granting = rule(&["ext.cattle.io"], &["clustergrants"], &["escalate"]);
    checked(
        more(&[granting]),
        texts(&[&grants]),
        texts(&[&bindings, &roles]),
    );
    checked(
        json!([rule(&["*"], &["*"], &["*"])]),
        texts(&[&bindings, &roles, &grants]),
        Vec::new(),
    );
}

#[test]
fn an_upgrade_needs_the_right_to_create() {
    #[track_caller]
    fn check(parts: Value, text: &str, expected: bool) {
        let ceiling = ceiling(parts);
        assert_eq!(
            ceiling.permits_upgrade(&attributes(text)),
            expected,
            "{text}"
        );
    }
    let exec = |verbs: &[&str]| json!({ "rules": [{ "apiGroups": [""], "resources": ["pods/exec"], "verbs": verbs }] });
    check(exec(&["get", "create"]), "get pods/exec a", true);
    check(exec(&["get"]), "get pods/exec a", false);
    check(json!({ "namespaces": ["a"] }), "get pods/exec a", true);
    check(json!({ "namespaces": ["a"] }), "get pods/exec b", false);
    check(json!({ "readOnly": true }), "watch pods a", true);
    check(
        json!({ "readOnly": true }),
        "get subresources.kubevirt.io:virtualmachineinstances/vnc a",
        false,
    );
}

#[test]
fn a_path_that_servers_read_in_different_ways_is_ambiguous() {
    for path in [
        "/",
        "/api",
        "/apis/",
        "/api/v1/namespaces/a/pods/b",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:admin",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Aadmin",
        "/openapi/v3/apis/apps/v1",
    ] {
        assert!(is_unambiguous(path), "{path}");
    }
    for path in [
        "",
        "api",
        "//api",
        "/api//v1/secrets",
        "/api/v1/namespaces/a%2Fsecrets",
        "/api/v1/namespaces/a%2fsecrets",
        "/api/v1/namespaces/a%5Csecrets",
        "/api/v1/namespaces/a\\secrets",
        "/api/v1/namespaces/a/%2e%2e/secrets",
        "/api/v1/namespaces/a/../secrets",
        "/api/v1/./secrets",
        "/api/v1/namespaces/a%00",
        "/api/v1/namespaces/%252Fsecrets",
        "/api/v1/namespaces/a;b",
        "/api/v1/namespaces/a%3Fwatch=1",
        "/api/v1/namespaces/%ff",
        "/api//",
    ] {
        assert!(!is_unambiguous(path), "{path}");
    }
}

fn rules(resources: Value, paths: Value) -> Rules {
    Rules {
        resource_rules: serde_json::from_value(resources).unwrap(),
        non_resource_rules: serde_json::from_value(paths).unwrap(),
        ..Rules::default()
    }
}

#[test]
fn a_list_of_rules_shows_what_passes() {
    let held = rules(
        json!([
            { "apiGroups": [""], "resources": ["pods", "pods/exec", "secrets"], "verbs": ["*"] },
            { "apiGroups": ["apps"], "resources": ["*"], "verbs": ["get", "delete"] },
            { "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["x"], "verbs": ["get"] },
        ]),
        json!([{ "nonResourceURLs": ["/metrics", "/logs"], "verbs": ["*"] }]),
    );
    #[track_caller]
    fn check(held: &Rules, parts: Value, namespace: &str, expected: Rules) {
        assert_eq!(ceiling(parts).limit(held.clone(), namespace), expected);
    }
    check(
        &held,
        json!({ "readOnly": true }),
        "a",
        Rules {
            incomplete: true,
            evaluation_error: Some(INEXACT.to_owned()),
            ..rules(
                json!([
                    { "apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"] },
                    { "apiGroups": ["apps"], "resources": ["*"], "verbs": ["get"] },
                    { "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["x"], "verbs": ["get"] },
                ]),
                json!([{ "nonResourceURLs": ["/metrics", "/logs"], "verbs": ["get", "head", "options"] }]),
            )
        },
    );
    check(
        &held,
        json!({ "rules": [
            { "apiGroups": ["", "apps"], "resources": ["deployments", "configmaps", "*/exec"],
              "verbs": ["get", "create"] },
            { "nonResourceURLs": ["/met*"], "verbs": ["get"] },
        ] }),
        "a",
        rules(
            json!([
                { "apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"] },
                { "apiGroups": ["apps"], "resources": ["deployments", "configmaps", "*/exec"], "verbs": ["get"] },
                { "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["x"], "verbs": ["get"] },
            ]),
            json!([{ "nonResourceURLs": ["/metrics"], "verbs": ["get"] }]),
        ),
    );
    check(
        &held,
        json!({ "namespaces": ["a"] }),
        "a",
        rules(
            serde_json::to_value(&held.resource_rules).unwrap(),
            json!([]),
        ),
    );
    check(
        &held,
        json!({ "namespaces": ["a"] }),
        "b",
        rules(json!([]), json!([])),
    );
}
