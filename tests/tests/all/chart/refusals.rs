//! Invalid values are rejected before the installation.

use e2e::Helm;

use super::{ETCD, on_chart};

/// Checks the line of the error, or the end of it, that states the reason.
#[track_caller]
fn check(values: &[&str], expected: &str) {
    let outcome = Helm::new()
        .unwrap()
        .run(&on_chart("template", values))
        .unwrap();
    assert_eq!(outcome.code, 1, "{values:?}");
    let mut lines = outcome.stderr.lines();
    assert!(
        lines.any(|line| line.ends_with(expected)),
        "{values:?}: {}",
        outcome.stderr
    );
}

#[test]
fn the_schema_knows_names_types_and_choices() {
    for (value, expected) in [
        (
            "replica=3",
            "- at '': additional properties 'replica' not allowed",
        ),
        (
            "externalURL=https://example.com",
            "- at '': additional properties 'externalURL' not allowed",
        ),
        (
            "store.etcd.tls.secret=x",
            "- at '/store/etcd/tls': additional properties 'secret' not allowed",
        ),
        (
            "image.repository=null",
            "- at '/image': missing property 'repository'",
        ),
        ("replicas=two", "- at '/replicas': got string, want integer"),
        ("replicas=0", "- at '/replicas': minimum: got 0, want 1"),
        (
            "rbac.create=yes",
            "- at '/rbac/create': got string, want boolean",
        ),
        (
            "store.kind=sqlite",
            "- at '/store/kind': value must be one of 'kubernetes', 'etcd'",
        ),
        (
            "certificates.mode=none",
            "- at '/certificates/mode': value must be one of 'self', 'cert-manager', 'files'",
        ),
        (
            "externalUrl=http://example.com",
            "- at '/externalUrl': 'http://example.com' does not match pattern '^(https://[^/?#]+/?)?$'",
        ),
        (
            "gateway.endpoints.zone=k8s",
            "- at '/gateway/endpoints/zone': 'k8s' does not match pattern '^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)+)?$'",
        ),
        (
            "oidc.issuerUrl=http://example.com",
            "- at '/oidc/issuerUrl': 'http://example.com' does not match pattern '^(https://[^?#]+)?$'",
        ),
        (
            "users.subjects[0].kind=Role",
            "- at '/users/subjects/0/kind': value must be one of 'User', 'Group', 'ServiceAccount'",
        ),
    ] {
        check(&[&format!("--set={value}")], expected);
    }
}

#[test]
fn what_belongs_together_is_asked_for() {
    for (values, expected) in [
        (
            vec![
                "--set=store.kind=etcd",
                "--set=store.etcd.encryption.secretName=keys",
            ],
            "store.etcd.endpoints: required if store.kind is etcd",
        ),
        (
            vec!["--set=certificates.mode=files"],
            "certificates.files.secretName: required if certificates.mode is files",
        ),
        (
            vec![
                "--set=certificates.mode=files",
                "--set=certificates.files.secretName=x",
            ],
            "certificates.files.caBundle: required if certificates.mode is files",
        ),
        (
            vec!["--set=gateway.ingress.enabled=true"],
            "externalUrl: required for an Ingress",
        ),
        (
            vec!["--set=gateway.route.enabled=true"],
            "externalUrl: required for a route",
        ),
        (
            vec![
                "--set=gateway.route.enabled=true",
                "--set=externalUrl=https://example.com",
            ],
            "gateway.route.parentRefs: required for a route",
        ),
        (
            vec!["--set=gateway.endpoints.zone=k8s.example.com"],
            "gateway.endpoints.organization: required if gateway.endpoints.zone is set",
        ),
        (
            vec![
                "--set=gateway.endpoints.zone=k8s.example.com",
                "--set=gateway.endpoints.organization=acme",
                "--set=externalUrl=https://example.com",
                "--set=gateway.route.enabled=true",
                "--set=gateway.route.kind=HTTPRoute",
                "--set=gateway.route.parentRefs[0].name=public",
            ],
            "gateway.endpoints.zone: host names of clusters require a route of kind TLSRoute",
        ),
        (
            vec!["--set=oidc.issuerUrl=https://login.example.com"],
            "oidc.clientId: required if oidc.issuerUrl is set",
        ),
        (
            vec![
                "--set=oidc.issuerUrl=https://login.example.com",
                "--set=oidc.authenticationConfigMap=issuers",
            ],
            "oidc.authenticationConfigMap: replaces oidc.issuerUrl, set only one of them",
        ),
        (
            vec!["--set=oidc.loginConfigMap=logins"],
            "oidc.loginConfigMap: requires oidc.issuerUrl or oidc.authenticationConfigMap",
        ),
        (
            vec![
                "--set=oidc.authenticationConfigMap=issuers",
                "--set=oidc.loginConfigMap=logins",
                "--set=oidc.loginScopes[0]=openid",
            ],
            "oidc.loginConfigMap: replaces oidc.loginScopes, set only one of them",
        ),
        (
            vec!["--set=serviceAccount.create=false"],
            "serviceAccount.name: required if serviceAccount.create is false",
        ),
    ] {
        check(&values, expected);
    }
}

/// A different key at each rendering would make the content of etcd unreadable.
#[test]
fn no_key_is_made_without_a_look_for_an_earlier_one() {
    let why = "store.etcd.encryption.secretName: required if no cluster is available, as with helm \
               template or GitOps: each rendering would create another key, and data that an \
               earlier key encrypted would be lost";
    check(ETCD, why);
    let named = [ETCD, &["--set=store.etcd.encryption.secretName=keys"]].concat();
    let rendered = Helm::new().unwrap().output(&on_chart("template", &named));
    assert!(rendered.unwrap().contains("secretName: keys"));
}
