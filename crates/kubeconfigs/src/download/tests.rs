use serde_json::{Value, json};

use super::*;

#[test]
fn an_address_names_a_cluster_and_a_file() {
    for (path, expected) in [
        ("c-1/assets/kubeconfig", Some(("c-1", Asset::Kubeconfig))),
        (
            "a.b/assets/adminkubeconfig",
            Some(("a.b", Asset::AdminKubeconfig)),
        ),
        ("", None),
        ("c-1", None),
        ("c-1/assets/", None),
        ("c-1/assets/Kubeconfig", None),
        ("c-1/assets/kubeconfig/", None),
        ("c-1/assets/kubeconfig;x", None),
        ("c-1/assets/assets/kubeconfig", None),
        ("/assets/kubeconfig", None),
        ("C-1/assets/kubeconfig", None),
        ("c%2D1/assets/kubeconfig", None),
        ("../c-1/assets/kubeconfig", None),
        ("c-1/x/assets/kubeconfig", None),
        ("c-1\"\r\n/assets/kubeconfig", None),
    ] {
        assert_eq!(parse(&format!("{PREFIX}{path}")), expected, "{path}");
    }
    assert_eq!(parse("/v2/spectroclusters/c-1/assets/kubeconfig"), None);
}

/// Resolves a file of a cluster with this spec.
#[track_caller]
fn settled(asset: Asset, spec: Value) -> Result<Settled, Status> {
    let cluster = json!({ "metadata": { "name": "c-1" }, "spec": spec });
    let cluster: Cluster = serde_json::from_value(cluster).unwrap();
    let entry = FileCluster::new(&cluster, &[]).unwrap();
    settle(Order {
        asset,
        cluster,
        entry,
    })
}

#[track_caller]
fn check(asset: Asset, spec: Value, expected: Result<(bool, &[&str]), (u16, &str)>) {
    let found = settled(asset, spec.clone());
    let found = found.map(|settled| {
        let way = &settled.resolved.clusters[0];
        assert_eq!(way.direct_only, way.direct.is_some(), "{spec}");
        (way.direct_only, settled.groups)
    });
    let expected = expected.map(|(direct, groups)| {
        let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        (direct, groups)
    });
    assert_eq!(
        found.map_err(|status| (status.code, status.message)),
        expected.map_err(|(code, message)| (code, message.to_owned())),
        "{spec}"
    );
}

#[test]
fn a_kubeconfig_goes_through_the_gateway_or_to_the_cluster_itself() {
    use Asset::Kubeconfig;
    let connection = json!({ "server": "https://10.0.0.1" });
    let endpoint = json!({ "enabled": true, "fqdn": "a.example.com" });
    let both = json!({ "connection": connection, "localClusterAuthEndpoint": endpoint });
    check(Kubeconfig, both.clone(), Ok((false, &[])));
    let mut direct = both;
    direct["downloads"] = json!({ "proxied": false });
    check(Kubeconfig, direct, Ok((true, &[])));
    let direct = json!({ "localClusterAuthEndpoint": endpoint });
    check(Kubeconfig, direct, Ok((true, &[])));
    let proxied = json!({ "connection": connection });
    check(Kubeconfig, proxied, Ok((false, &[])));
    let neither = "cluster c-1 has no authorized cluster endpoint (spec.localClusterAuthEndpoint) for the file to use";
    check(Kubeconfig, json!({}), Err((400, neither)));
}

#[test]
fn the_administrators_file_goes_to_the_cluster_itself_as_a_member_of_its_admin_group() {
    use Asset::AdminKubeconfig;
    let spec = |group: &str| {
        json!({
            "connection": { "server": "https://10.0.0.1" },
            "localClusterAuthEndpoint": { "enabled": true, "fqdn": "a.example.com" },
            "downloads": { "proxied": true, "adminGroup": group },
        })
    };
    let usual = "kubeconfig-apiserver:cluster-admins";
    check(AdminKubeconfig, spec(""), Ok((true, &[usual])));
    check(AdminKubeconfig, spec("admins"), Ok((true, &["admins"])));
    let reserved =
        "Internal error occurred: the admin group of cluster c-1 is reserved by Kubernetes";
    check(
        AdminKubeconfig,
        spec("system:masters"),
        Err((500, reserved)),
    );
    let none = "cluster c-1 has no authorized cluster endpoint (spec.localClusterAuthEndpoint) for the file to use";
    let proxied = json!({ "connection": { "server": "https://10.0.0.1" } });
    check(AdminKubeconfig, proxied, Err((400, none)));
    let no_nodes = json!({ "localClusterAuthEndpoint": { "enabled": true } });
    check(AdminKubeconfig, no_nodes, Err((400, none)));
}
