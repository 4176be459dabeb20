//! Files without tokens, whose users run the plugin.

use super::*;

#[test]
fn in_exec_mode_every_user_runs_the_plugin() {
    let with_certificates = FileCluster {
        client_certificates: true,
        ..with_fqdn("c-m-certs", "down\" --token-file=/x")
    };
    let case = Case {
        credentials: exec(ExecVersion::V1),
        created: None,
        ca_certs: "x",
        ..Case::of(vec![
            downstream1(),
            with_fqdn("c-m-fcd3g5h", "down\" --token-file=/x"),
            with_certificates,
        ])
    };
    check_snapshot(
        &case,
        include_str!("../snapshots/exec.yaml"),
        Some("c-m-p66cdvlj"),
    );
}

#[test]
fn an_only_way_by_certificates_has_one_user() {
    let cluster = FileCluster {
        direct_only: true,
        client_certificates: true,
        ..with_fqdn("c-a", "a")
    };
    let case = Case {
        include_default_entry: false,
        credentials: exec(ExecVersion::V1),
        ..Case::of(vec![cluster])
    };
    let file = parsed(&case.text());
    let users = file["users"].as_array().unwrap().iter();
    let names: Vec<_> = users.map(|user| &user["name"]).collect();
    assert_eq!(names, ["a-certificate"]);
    assert_eq!(file["contexts"][0]["context"]["user"], "a-certificate");
}

#[test]
fn the_plugin_is_told_of_the_provider_of_a_cluster() {
    let cluster: Cluster = serde_json::from_value(json!({
        "metadata": {"name": "c-a"},
        "spec": {"authentication": {"oidc": {
            "issuer": "https://login.example.com", "clientID": "k\"s", "caData": STANDARD.encode(AUTHORITY),
            "usernameClaim": "email", "groupsClaim": "groups",
        }}},
    }))
    .unwrap();
    let case = Case {
        credentials: exec(ExecVersion::V1),
        ..Case::of(vec![FileCluster::new(&cluster, &[]).unwrap()])
    };
    let file = parsed(&case.text());
    let oidc = |entry: usize| {
        let extensions = &file["clusters"][entry]["cluster"]["extensions"];
        extensions[0]["extension"]["oidc"].clone()
    };
    let expected = json!({
        "issuer": "https://login.example.com",
        "clientID": "k\"s",
        "scopes": ["openid", "email", "groups"],
        "certificateAuthorityData": STANDARD.encode(AUTHORITY),
    });
    assert_eq!((oidc(0), oidc(1)), (Value::Null, expected));
}

#[test]
fn older_clients_get_the_older_exec_version() {
    let case = Case {
        credentials: exec(ExecVersion::V1Beta1),
        ..Case::of(vec![])
    };
    let version = &parsed(&case.text())["users"][0]["user"]["exec"]["apiVersion"];
    assert_eq!(version, "client.authentication.k8s.io/v1beta1");
}
