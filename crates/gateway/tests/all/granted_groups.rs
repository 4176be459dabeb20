//! The groups of grants with limits: a request has those of the grants whose limits it passes.

use api::ext::Token;
use machinery::meta::ObjectKey;
use serde_json::{Value, json};

use crate::cluster::{Cluster, lines};
use crate::world::{World, object};

const VIEW: &str = "kubeconfig-apiserver:view";
const EDIT: &str = "kubeconfig-apiserver:edit";
const OPEN: &str = "kubeconfig-apiserver:open";

async fn grant(world: &World, name: &str, group: &str, access: Value) {
    let grant = object(json!({
        "metadata": { "name": name },
        "spec": {
            "subjects": [{ "kind": "User", "name": "alice" }],
            "clusters": { "names": ["c-1"] }, "groups": [group], "access": access,
        },
    }));
    world.grants.store().insert(grant, false).await.unwrap();
}

/// Returns the groups in the last request to a cluster, without their prefix.
fn last_groups(cluster: &Cluster) -> Vec<String> {
    let seen = cluster.seen().concat();
    let start = seen.rfind("HTTP/1.1").unwrap();
    let groups = lines(&seen[start..], &["impersonate-group: "]);
    let prefix = "impersonate-group: kubeconfig-apiserver:";
    let names = groups
        .iter()
        .map(|group| group.strip_prefix(prefix).unwrap().to_owned());
    names.collect()
}

/// alice may get the cluster without grants.
#[tokio::test]
async fn each_grant_counts_for_its_own_requests() {
    let world = World::start().await;
    let cluster = Cluster::answering(world.tls()).await;
    world.add("c-1", &cluster).await;
    grant(&world, "a", VIEW, json!({ "readOnly": true })).await;
    grant(&world, "b", EDIT, json!({ "namespaces": ["shop"] })).await;
    grant(&world, "c", OPEN, Value::Null).await;
    let (token, _) = world.mint_in("", "alice", &["c-1"]).await;
    let authorization = format!("Authorization: Bearer {token}");
    let groups = async |line: &str, more: &[&str]| {
        let (method, path) = line.split_once(' ').unwrap();
        let line = format!("{method} /k8s/clusters/c-1{path}");
        let headers = [&[authorization.as_str()], more].concat();
        let answer = world.call(&line, &headers).await;
        assert_eq!(answer.code, 200, "{line} {}", answer.body);
        last_groups(&cluster).join(" ")
    };
    let get = async |path: &str| groups(&format!("GET {path}"), &[]).await;
    assert_eq!(get("/api/v1/namespaces/shop/pods").await, "open view edit");
    assert_eq!(get("/api/v1/namespaces/other/pods").await, "open view");
    assert_eq!(get("/api/v1/namespaces/shop/secrets").await, "open edit");
    assert_eq!(get("/api/v1/secrets").await, "open");
    assert_eq!(
        groups("POST /api/v1/namespaces/shop/pods", &[]).await,
        "open edit"
    );
    assert_eq!(
        groups("DELETE /api/v1/namespaces/other/pods/x", &[]).await,
        "open"
    );
    let review = "POST /apis/authentication.k8s.io/v1/selfsubjectreviews";
    assert_eq!(groups(review, &[]).await, "open view edit");
}

/// A limit to reads and patches, and requests that could create the object.
#[tokio::test]
async fn a_write_that_could_create_needs_the_limit_to_permit_it() {
    let world = World::start().await;
    let cluster = Cluster::answering(world.tls()).await;
    world.add("c-1", &cluster).await;
    let rule = json!({ "apiGroups": [""], "resources": ["*"], "verbs": ["patch", "update"] });
    grant(&world, "a", EDIT, json!({ "rules": [&rule] })).await;
    let (token, _) = world.mint_in("", "alice", &["c-1"]).await;
    let (limited, name) = world.mint_in("", "alice", &["c-1"]).await;
    let limit = |token: &mut Token| {
        token.spec.access = Some(object(json!({ "rules": [rule] })));
    };
    world
        .change(&world.tokens, ObjectKey::cluster(&name), limit)
        .await;
    for (method, path, media_type, expected) in [
        ("PATCH", "pods/x", "application/merge-patch+json", 1),
        ("PATCH", "pods/x", "application/apply-patch+yaml", 0),
        ("PATCH", "pods/x/status", "application/apply-patch+yaml", 1),
        ("PUT", "pods/x", "application/json", 0),
        ("PUT", "pods/x/status", "application/json", 1),
    ] {
        let line = format!("{method} /k8s/clusters/c-1/api/v1/namespaces/a/{path}");
        let headers = [
            format!("Authorization: Bearer {token}"),
            format!("Content-Type: {media_type}"),
        ];
        let headers = headers.each_ref().map(String::as_str);
        assert_eq!(world.call(&line, &headers).await.code, 200);
        let groups = last_groups(&cluster);
        assert_eq!(groups.len(), expected, "{line} {media_type}");
        let headers = [&format!("Authorization: Bearer {limited}"), headers[1]];
        let answer = world.call(&line, &headers).await;
        match expected {
            0 => {
                let why = "spec.access of the token or grant of this request does not permit create, and the request could create the object";
                assert!(
                    answer.code == 403 && answer.body.contains(why),
                    "{}",
                    answer.body
                );
            }
            _ => assert_eq!(answer.code, 200, "{line} {media_type}"),
        }
    }
}
