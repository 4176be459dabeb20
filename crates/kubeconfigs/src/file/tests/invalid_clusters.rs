//! Invalid fields of Clusters that belong to a host, and so have not been validated before.

use super::*;

#[track_caller]
fn check(spec: Value, status: Value, expected: &str) {
    let cluster = json!({"metadata": {"name": "c-a"}, "spec": spec, "status": status});
    let cluster: Cluster = serde_json::from_value(cluster).unwrap();
    let told = FileCluster::new(&cluster, &[]).map_err(|why| why.to_string());
    assert_eq!(told.unwrap_err(), expected);
}

/// Returns the spec of a cluster with an enabled direct endpoint.
fn endpoint(fields: Value) -> Value {
    let mut endpoint = json!({"enabled": true});
    let fields = fields.as_object().unwrap().clone();
    endpoint.as_object_mut().unwrap().extend(fields);
    json!({"localClusterAuthEndpoint": endpoint})
}

#[test]
fn a_cluster_with_an_invalid_field_is_not_written() {
    let none = || json!({});
    let characters = "must not contain control, format or line-separating characters";
    check(
        json!({"displayName": "a\u{1b}[31m\0\nb"}),
        none(),
        &format!("spec.displayName: Invalid value: {characters}"),
    );
    check(
        json!({"displayName": "a".repeat(900_000)}),
        none(),
        "spec.displayName: Invalid value: must have at most 256 characters",
    );
    check(
        endpoint(json!({"fqdn": "evil.example/x?y=\n"})),
        none(),
        "spec.localClusterAuthEndpoint.fqdn: Invalid value: must be a host name or an IP address, with an optional port",
    );
    let certificates = "must contain only PEM-encoded X.509 certificates";
    check(
        endpoint(json!({"fqdn": "a.example", "caCerts": "garbage"})),
        none(),
        &format!("spec.localClusterAuthEndpoint.caCerts: Invalid value: {certificates}"),
    );
    check(
        endpoint(json!({})),
        json!({"caCert": STANDARD.encode("garbage")}),
        &format!("status.caCert {certificates}"),
    );
    check(
        endpoint(json!({})),
        json!({"caCert": "?"}),
        "status.caCert must be base64 of PEM-encoded X.509 certificates",
    );
    check(
        json!({"authentication": {"oidc": {"issuer": "javascript:alert(1)", "clientID": "a"}}}),
        none(),
        "spec.authentication.oidc.issuer: Invalid value: \"javascript:alert(1)\": must be a URL with scheme https and a host",
    );
}

#[test]
fn a_private_key_does_not_reach_a_file() {
    let key = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n";
    let why =
        "must contain only certificates, but contains a private key, which every user would get";
    check(
        endpoint(json!({"fqdn": "a.example", "caCerts": format!("{AUTHORITY}{key}")})),
        json!({}),
        &format!("spec.localClusterAuthEndpoint.caCerts: Invalid value: {why}"),
    );
    check(
        endpoint(json!({})),
        json!({"caCert": STANDARD.encode(format!("{AUTHORITY}{key}"))}),
        &format!("status.caCert {why}"),
    );
}

#[test]
fn an_endpoint_that_is_switched_off_is_not_looked_at() {
    let spec = json!({"localClusterAuthEndpoint": {"enabled": false, "fqdn": "?", "caCerts": "?"}});
    let cluster = json!({"metadata": {"name": "c-a"}, "spec": spec});
    let cluster: Cluster = serde_json::from_value(cluster).unwrap();
    assert_eq!(FileCluster::new(&cluster, &[]).unwrap().direct, None);
}

#[test]
fn a_node_with_an_invalid_address_or_name_is_left_out() {
    let cluster = json!({"metadata": {"name": "c-a"}, "spec": endpoint(json!({}))});
    let cluster: Cluster = serde_json::from_value(cluster).unwrap();
    let nodes: Vec<Node> = serde_json::from_value(json!([
        api_node("a", true, "192.0.2.1:80", "True"),
        api_node("b", true, "192.0.2.1/?x=", "True"),
        api_node("c", true, "user@192.0.2.1", "True"),
        api_node("d\u{202e}", true, "192.0.2.1", "True"),
        api_node("e", true, "192.0.2.5", "True"),
    ]))
    .unwrap();
    let file = FileCluster::new(&cluster, &nodes).unwrap();
    let expected = DirectEndpoint::Nodes {
        nodes: vec![ControlPlaneNode {
            hostname: "e".to_owned(),
            url: "https://192.0.2.5:6443".to_owned(),
            is_ready: true,
        }],
        ca_data: String::new(),
    };
    assert_eq!(file.direct, Some(expected));
}
