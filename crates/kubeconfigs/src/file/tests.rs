use api::management::{Cluster, Node};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use signing::secret::Bearer;

use super::*;

mod any_texts;
mod exec_files;
mod hostile_texts;
mod invalid_clusters;

/// A certificate authority.
const AUTHORITY: &str = include_str!("tests/authority.pem");

const HOST: &str = "rancher.example.com";

/// The variable parts of a test case. Everything else is as in the user documentation.
struct Case {
    include_default_entry: bool,
    clusters: Vec<FileCluster>,
    current_cluster: Option<&'static str>,
    credentials: Credentials,
    ca_certs: &'static str,
    namespace: &'static str,
    name: &'static str,
    created: Option<Timestamp>,
}

impl Case {
    fn of(clusters: Vec<FileCluster>) -> Case {
        Case {
            include_default_entry: true,
            credentials: Credentials::Tokens(Tokens {
                shared: Some(Bearer::new("token-shared".to_owned())),
                by_cluster: tokens_of(&clusters),
            }),
            clusters,
            current_cluster: None,
            ca_certs: "",
            namespace: "",
            name: "kubeconfig-zp786",
            created: Some("2026-01-02T03:04:05.678Z".parse().unwrap()),
        }
    }

    fn build(&self) -> Result<KubeconfigFile, FileError> {
        build(&self.spec(&ServerHost::from_authority(HOST).unwrap()))
    }

    fn spec<'a>(&'a self, host: &'a ServerHost) -> FileSpec<'a> {
        FileSpec {
            record: Record {
                name: self.name,
                created: self.created,
                ttl_secs: 2_592_000,
            },
            server: Server {
                host,
                ca_certs: self.ca_certs,
            },
            include_default_entry: self.include_default_entry,
            clusters: &self.clusters,
            namespace: self.namespace,
            current_cluster: self.current_cluster,
            credentials: &self.credentials,
        }
    }

    fn text(&self) -> String {
        self.build().unwrap().content.expose().to_owned()
    }
}

/// Returns a token for each of these clusters alone.
fn tokens_of(clusters: &[FileCluster]) -> BTreeMap<String, Bearer> {
    let ids = clusters.iter().map(|cluster| cluster.id.clone());
    ids.map(|id| (id.clone(), Bearer::new(format!("token-of-{id}"))))
        .collect()
}

fn plain(id: &str, display_name: &str) -> FileCluster {
    FileCluster {
        id: id.to_owned(),
        uid: format!("uid-of-{id}"),
        created: None,
        display_name: display_name.to_owned(),
        direct: None,
        managed: None,
        client_certificates: false,
        direct_only: false,
        oidc: None,
    }
}

fn downstream1() -> FileCluster {
    plain("c-m-p66cdvlj", "downstream1")
}

fn with_fqdn(id: &str, display_name: &str) -> FileCluster {
    let direct = DirectEndpoint::Fqdn {
        fqdn: "ace.example.com".to_owned(),
        ca_data: String::new(),
    };
    FileCluster {
        direct: Some(direct),
        ..plain(id, display_name)
    }
}

fn with_nodes(id: &str, display_name: &str, nodes: Vec<ControlPlaneNode>) -> FileCluster {
    let direct = DirectEndpoint::Nodes {
        nodes,
        ca_data: "Q0E=".to_owned(),
    };
    FileCluster {
        direct: Some(direct),
        ..plain(id, display_name)
    }
}

fn node(hostname: &str, last_octet: u8, is_ready: bool) -> ControlPlaneNode {
    let url = format!("https://192.0.2.{last_octet}:6443");
    ControlPlaneNode {
        hostname: hostname.to_owned(),
        url,
        is_ready,
    }
}

fn downstream2() -> FileCluster {
    let cluster: Cluster = serde_json::from_value(json!({
        "metadata": {"name": "c-m-fcd3g5h"},
        "spec": {"displayName": "downstream2", "localClusterAuthEndpoint": {"enabled": true}},
        "status": {"caCert": STANDARD.encode(AUTHORITY)},
    }))
    .unwrap();
    let nodes: Vec<Node> = serde_json::from_value(json!([
        api_node("downstream2-cp1", true, "192.0.2.3", "False"),
        api_node("cp2", true, "fd00::4", "True"),
        api_node("downstream2-worker", false, "192.0.2.5", "True"),
        api_node("downstream2-cp3", true, "", "True"),
        api_node("downstream2-cp4", true, "192.0.2.6/x", "True"),
    ]))
    .unwrap();
    FileCluster::new(&cluster, &nodes).unwrap()
}

fn api_node(hostname: &str, control_plane: bool, address: &str, ready: &str) -> Value {
    json!({
        "metadata": {"name": "m-x", "namespace": "c-m-fcd3g5h"},
        "spec": {"controlPlane": control_plane, "requestedHostname": hostname},
        "status": {"internalNodeStatus": {
            "addresses": [{"type": "InternalIP", "address": address}],
            "conditions": [{"type": "Ready", "status": ready}],
        }},
    })
}

fn parsed(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

/// Returns the file below its heading, with entries `(name, server, authorities, user)`.
fn expected(targets: &[(&str, &str, &str, &str)], users: &[(&str, &str)], current: &str) -> Value {
    let cluster = |(name, server, ca_data, _): &(&str, &str, &str, &str)| {
        let mut cluster = json!({"server": server});
        if !ca_data.is_empty() {
            cluster["certificate-authority-data"] = json!(ca_data);
        }
        json!({"name": name, "cluster": cluster})
    };
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": targets.iter().map(cluster).collect::<Vec<_>>(),
        "users": users.iter()
            .map(|(name, token)| json!({"name": name, "user": {"token": token}}))
            .collect::<Vec<_>>(),
        "contexts": targets.iter()
            .map(|(name, _, _, user)| {
                json!({"name": name, "context": {"cluster": name, "user": user}})
            })
            .collect::<Vec<_>>(),
        "current-context": current,
    })
}

fn exec(version: ExecVersion) -> Credentials {
    Credentials::Exec(ExecCredentials {
        version,
        issuer: "https://issuer.example.com".to_owned(),
    })
}

#[track_caller]
fn check_snapshot(case: &Case, snapshot: &str, current_cluster: Option<&str>) {
    let file = case.build().unwrap();
    assert_eq!(file.content.expose(), snapshot);
    assert_eq!(file.current_cluster.as_deref(), current_cluster);
}

#[test]
fn without_clusters_the_file_reaches_the_server_itself() {
    let case = Case::of(vec![]);
    check_snapshot(&case, include_str!("snapshots/default_entry.yaml"), None);
}

#[test]
fn two_clusters_have_a_token_each_and_the_chosen_one_is_current() {
    let case = Case {
        current_cluster: Some("c-m-second"),
        ca_certs: "-----BEGIN CERTIFICATE-----\nMIIBdzCCAR2gAwIBAgIBADAKBggqhkjOPQQDAjAj\n\
                   -----END CERTIFICATE-----\n",
        ..Case::of(vec![downstream1(), plain("c-m-second", "")])
    };
    check_snapshot(
        &case,
        include_str!("snapshots/two_clusters.yaml"),
        Some("c-m-second"),
    );
}

#[test]
fn clusters_without_a_token_of_their_own_share_that_of_the_default_user() {
    let clusters = || vec![downstream1(), with_fqdn("c-2", "two")];
    let mut by_cluster = tokens_of(&clusters());
    by_cluster.remove("c-m-p66cdvlj");
    let case = Case {
        include_default_entry: false,
        credentials: Credentials::Tokens(Tokens {
            shared: Some(Bearer::new("token-shared".to_owned())),
            by_cluster,
        }),
        ..Case::of(clusters())
    };
    let gateway = "https://rancher.example.com/k8s/clusters";
    let expected = expected(
        &[
            (
                "downstream1",
                &format!("{gateway}/c-m-p66cdvlj"),
                "",
                "rancher",
            ),
            ("two", &format!("{gateway}/c-2"), "", "two"),
            ("two-fqdn", "https://ace.example.com", "", "two"),
        ],
        &[("rancher", "token-shared"), ("two", "token-of-c-2")],
        "downstream1",
    );
    assert_eq!(parsed(&case.text()), expected);
}

#[test]
fn a_direct_endpoint_without_fqdn_gives_an_entry_per_reachable_control_plane_node() {
    let case = Case {
        current_cluster: Some("c-m-fcd3g5h"),
        ..Case::of(vec![downstream1(), downstream2()])
    };
    check_snapshot(
        &case,
        include_str!("snapshots/direct_nodes.yaml"),
        Some("c-m-fcd3g5h"),
    );
}

#[test]
fn a_direct_endpoint_with_fqdn_gives_one_entry() {
    let cluster: Cluster = serde_json::from_value(json!({
        "metadata": {"name": "c-m-fcd3g5h"},
        "spec": {"displayName": "downstream2", "localClusterAuthEndpoint": {
            "enabled": true, "fqdn": "ace.example.com:8443", "caCerts": AUTHORITY,
        }},
        "status": {"caCert": STANDARD.encode(AUTHORITY)},
    }))
    .unwrap();
    let case = Case::of(vec![FileCluster::new(&cluster, &[]).unwrap()]);
    check_snapshot(
        &case,
        include_str!("snapshots/direct_fqdn.yaml"),
        Some("c-m-fcd3g5h"),
    );
}

#[test]
fn without_the_default_entry_only_the_clusters_are_left() {
    let case = Case {
        include_default_entry: false,
        ..Case::of(vec![downstream1()])
    };
    let snapshot = include_str!("snapshots/no_default_entry.yaml");
    check_snapshot(&case, snapshot, Some("c-m-p66cdvlj"));
}

#[test]
fn a_cluster_may_have_no_entry_through_this_server() {
    let direct_only = |cluster: FileCluster| FileCluster {
        direct_only: true,
        ..cluster
    };
    let case = |cluster: FileCluster| Case {
        include_default_entry: false,
        ..Case::of(vec![direct_only(cluster)])
    };
    let file = case(with_fqdn("c-a", "a")).text();
    let targets = [("a-fqdn", "https://ace.example.com", "", "a")];
    let users = [("a", "token-of-c-a")];
    assert_eq!(parsed(&file), expected(&targets, &users, "a-fqdn"));

    // The only route is a node that is not ready.
    let nodes = vec![node("cp1", 1, false)];
    let file = case(with_nodes("c-a", "a", nodes)).text();
    let targets = [("a-cp1", "https://192.0.2.1:6443", "Q0E=", "a")];
    assert_eq!(parsed(&file), expected(&targets, &users, "a-cp1"));
}

#[test]
fn a_managed_file_has_one_cluster_and_the_user_token() {
    let managed = FileCluster {
        managed: Some("https://acme-1.k8s.example.com".to_owned()),
        ..plain("c-1", "prod")
    };
    let case = Case {
        include_default_entry: false,
        ca_certs: "x",
        namespace: "team-a",
        ..Case::of(vec![managed])
    };
    let expected = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "prod",
        "clusters": [{"name": "prod", "cluster": {
            "server": "https://acme-1.k8s.example.com", "certificate-authority-data": "eA==",
        }}],
        "users": [{"name": "token", "user": {"token": "token-of-c-1"}}],
        "contexts": [{"name": "prod", "context": {
            "cluster": "prod", "namespace": "team-a", "user": "token",
        }}],
    });
    assert_eq!(parsed(&case.text()), expected);
    let without_tokens = Case {
        credentials: exec(ExecVersion::V1),
        ..case
    };
    let users = &parsed(&without_tokens.text())["users"];
    assert_eq!(users[0]["name"], "token");
    let arguments = json!([
        "credential",
        "--server=https://rancher.example.com",
        "--kubeconfig=kubeconfig-zp786",
        "--cluster=c-1",
    ]);
    assert_eq!(users[0]["user"]["exec"]["args"], arguments);
}

#[test]
fn every_context_has_the_namespace() {
    let case = Case {
        namespace: "team-a",
        ..Case::of(vec![downstream1(), with_fqdn("c-2", "two")])
    };
    let parsed = parsed(&case.text());
    let contexts = parsed["contexts"].as_array().unwrap();
    assert_eq!(contexts.len(), 4);
    for context in contexts {
        assert_eq!(context["context"]["namespace"], "team-a");
    }
}

#[test]
fn the_current_context_follows_the_cluster_and_its_direct_endpoint() {
    let none_ready = || {
        with_nodes(
            "c-a",
            "a",
            vec![node("cp1", 1, false), node("cp2", 2, false)],
        )
    };
    let second_ready = || {
        with_nodes(
            "c-b",
            "b",
            vec![node("cp1", 3, false), node("cp2", 4, true)],
        )
    };
    let clusters = || {
        vec![
            downstream1(),
            none_ready(),
            second_ready(),
            with_fqdn("c-c", "c"),
        ]
    };
    let cases = [
        (true, vec![], None, "rancher"),
        (false, vec![], None, ""),
        (true, clusters(), None, "downstream1"),
        (false, clusters(), None, "downstream1"),
        (true, clusters(), Some("c-a"), "a"),
        (true, clusters(), Some("c-b"), "b-cp2"),
        (true, clusters(), Some("c-c"), "c-fqdn"),
        (true, vec![second_ready()], None, "b-cp2"),
    ];
    for (include_default_entry, clusters, current_cluster, expected) in cases {
        let case = Case {
            include_default_entry,
            current_cluster,
            ..Case::of(clusters)
        };
        assert_eq!(
            parsed(&case.text())["current-context"],
            expected,
            "{current_cluster:?}"
        );
    }
}

#[test]
fn a_file_of_direct_endpoints_alone_has_no_shared_user() {
    let case = Case {
        include_default_entry: false,
        ..Case::of(vec![with_fqdn("c-c", "c")])
    };
    assert_eq!(
        parsed(&case.text()),
        expected(
            &[
                ("c", "https://rancher.example.com/k8s/clusters/c-c", "", "c"),
                ("c-fqdn", "https://ace.example.com", "", "c"),
            ],
            &[("c", "token-of-c-c")],
            "c-fqdn",
        )
    );
}

#[test]
fn no_two_entries_have_the_same_name() {
    let case = Case::of(vec![
        plain("c-1", "rancher"),
        with_nodes(
            "c-2",
            "prod",
            vec![node("cp", 1, true), node("prod-cp", 2, true)],
        ),
        plain("c-3", "prod"),
        plain("c-4", "prod-cp"),
        with_fqdn("c-5", "prod-c-3"),
        plain("c-6", "prod-c-3-fqdn"),
    ]);
    let proxy = |id: &str| format!("https://rancher.example.com/k8s/clusters/{id}");
    let targets = [
        ("rancher", "https://rancher.example.com", "", "rancher"),
        ("rancher-c-1", &proxy("c-1"), "", "rancher-c-1"),
        ("prod", &proxy("c-2"), "", "prod"),
        ("prod-cp-direct", "https://192.0.2.1:6443", "Q0E=", "prod"),
        ("prod-cp-direct-2", "https://192.0.2.2:6443", "Q0E=", "prod"),
        ("prod-c-3", &proxy("c-3"), "", "prod-c-3"),
        ("prod-cp", &proxy("c-4"), "", "prod-cp"),
        ("prod-c-3-c-5", &proxy("c-5"), "", "prod-c-3-c-5"),
        (
            "prod-c-3-c-5-fqdn",
            "https://ace.example.com",
            "",
            "prod-c-3-c-5",
        ),
        ("prod-c-3-fqdn", &proxy("c-6"), "", "prod-c-3-fqdn"),
    ];
    let users = [
        ("rancher", "token-shared"),
        ("rancher-c-1", "token-of-c-1"),
        ("prod", "token-of-c-2"),
        ("prod-c-3", "token-of-c-3"),
        ("prod-cp", "token-of-c-4"),
        ("prod-c-3-c-5", "token-of-c-5"),
        ("prod-c-3-fqdn", "token-of-c-6"),
    ];
    assert_eq!(
        parsed(&case.text()),
        expected(&targets, &users, "rancher-c-1")
    );
}

#[test]
fn a_user_without_token_is_an_error_not_another_way_in() {
    let case = Case {
        credentials: Credentials::Tokens(Tokens::default()),
        ..Case::of(vec![])
    };
    let error = case.build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "no token for user \"rancher\" of the file"
    );
}

#[test]
fn an_unknown_current_cluster_is_an_error() {
    let case = Case {
        current_cluster: Some("c-x"),
        ..Case::of(vec![downstream1()])
    };
    let error = case.build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the current cluster \"c-x\" is not in the file"
    );
}

#[test]
fn debug_output_shows_no_token() {
    let case = Case::of(vec![with_fqdn("c-c", "c")]);
    let shown = format!("{:?} {:?}", case.credentials, case.build());
    assert!(
        !shown.contains("token-shared") && !shown.contains("token-of"),
        "{shown}"
    );
}

#[test]
fn the_addresses_are_those_of_the_entries() {
    let direct = FileCluster {
        direct: Some(DirectEndpoint::Fqdn {
            fqdn: "direct.example.com".to_owned(),
            ca_data: "Q0E=".to_owned(),
        }),
        ..plain("c-a", "prod")
    };
    let managed = FileCluster {
        managed: Some("https://c-a.zone.example.com".to_owned()),
        ..plain("c-a", "prod")
    };
    let server = |server: &str, ca: &str| (server.to_owned(), ca.to_owned());
    let gateway = server("https://rancher.example.com/k8s/clusters/c-a", "UEVN");
    for (clusters, default_entry, expected) in [
        (
            vec![],
            true,
            vec![server("https://rancher.example.com", "UEVN")],
        ),
        (
            vec![direct],
            false,
            vec![gateway, server("https://direct.example.com", "Q0E=")],
        ),
        (
            vec![managed],
            false,
            vec![server("https://c-a.zone.example.com", "UEVN")],
        ),
    ] {
        let case = Case {
            include_default_entry: default_entry,
            ca_certs: "PEM",
            credentials: Credentials::Exec(ExecCredentials::default()),
            ..Case::of(clusters)
        };
        let found = endpoints(&case.spec(&ServerHost::from_authority(HOST).unwrap())).unwrap();
        let found: Vec<_> = found
            .into_iter()
            .map(|it| (it.server, it.certificate_authority_data))
            .collect();
        assert_eq!(found, expected);
    }
}
