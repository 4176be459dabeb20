//! Kubeconfigs of bob, who may get `c-a` and `local` by RBAC, and other clusters by grants.

use serde_json::{Value, json};

use crate::world::{BOB, World, file, refused};

const ADMIN: &str = "as:root/system:masters";
const GRANTS: &str = "POST /apis/ext.cattle.io/v1/clustergrants";

async fn grant(world: &World, name: &str, cluster: &str, max_ttl: Option<i64>, admin: bool) {
    let grant = json!({
        "apiVersion": "ext.cattle.io/v1", "kind": "ClusterGrant", "metadata": { "name": name },
        "spec": {
            "subjects": [{ "kind": "User", "name": "bob" }], "clusters": { "names": [cluster] },
            "maxTTLSeconds": max_ttl, "adminDownloads": admin,
        },
    });
    let answer = world.call(ADMIN, GRANTS, Some(grant)).await;
    assert_eq!(answer.code, 201, "{}", answer.body);
}

fn contexts(record: &Value) -> Value {
    let file = file(record);
    let contexts = file["contexts"].as_array().unwrap().iter();
    contexts.map(|context| context["name"].clone()).collect()
}

#[tokio::test]
async fn a_file_holds_the_clusters_of_grants() {
    let world = World::start().await;
    let star = json!({ "clusters": ["*"], "includeDefaultEntry": false });
    let none = world.create(BOB, star.clone()).await;
    assert_eq!(none.code, 201, "{}", none.body);
    assert_eq!(contexts(&none.body), json!(["c-a", "local"]));
    grant(&world, "b", "c-b", None, false).await;
    let all = json!(["c-a", "c-b", "local"]);
    assert_eq!(contexts(&world.made(BOB, star).await), all);
    let named = json!({ "clusters": ["c-b"], "includeDefaultEntry": false });
    assert_eq!(contexts(&world.made(BOB, named).await), json!(["c-b"]));
    let foreign = world.create(BOB, json!({ "clusters": ["c-c"] })).await;
    assert_eq!(foreign.code, 403, "{}", foreign.body);
}

#[tokio::test]
async fn the_shortest_maximum_of_the_clusters_limits_a_file() {
    let world = World::start().await;
    world
        .add_cluster(json!({ "metadata": { "name": "c-c", "uid": "uid-c-c" } }))
        .await;
    grant(&world, "c", "c-c", Some(3600), false).await;
    grant(&world, "b", "c-b", Some(600), false).await;
    let ttl = async |spec: Value| world.made(BOB, spec).await["spec"]["ttl"].clone();
    assert_eq!(ttl(json!({ "clusters": ["c-c"] })).await, json!(3600));
    assert_eq!(ttl(json!({ "clusters": ["c-c", "c-b"] })).await, json!(600));
    assert_eq!(ttl(json!({ "clusters": ["*"] })).await, json!(600));
    assert_eq!(
        ttl(json!({ "clusters": ["c-c"], "ttl": 60 })).await,
        json!(60)
    );
    refused(
        &world
            .create(BOB, json!({ "clusters": ["c-c", "c-b"], "ttl": 601 }))
            .await,
        400,
        "spec.ttl 601 exceeds max ttl 600 of your grants for cluster c-b",
    );
    let without = ttl(json!({ "clusters": [] })).await;
    assert!(without.as_i64().unwrap() > 3600, "{without}");
}

#[tokio::test]
async fn a_grant_permits_the_file_of_administrators() {
    let world = World::start().await;
    let direct = |cluster: &mut api::management::Cluster| {
        cluster.spec.local_cluster_auth_endpoint = tokens::testing::object(json!({
            "enabled": true, "fqdn": "direct.example.com",
        }));
    };
    world.base.change(&world.clusters, "c-b", direct).await;
    let line = "GET /v1/spectroclusters/c-b/assets/adminkubeconfig";
    grant(&world, "b", "c-b", Some(600), false).await;
    refused(
        &world.call(BOB, line, None).await,
        403,
        "kubeconfigs.ext.cattle.io is forbidden: the admin kubeconfig of cluster c-b requires permission to delete the cluster",
    );
    grant(&world, "admin", "c-b", Some(1200), true).await;
    assert_eq!(world.call(BOB, line, None).await.code, 200);
    let records = world.base.kubeconfigs.cache().all();
    let ttl: Vec<i64> = records.iter().map(|record| record.spec.ttl).collect();
    assert_eq!(ttl, [1200]);

    let token = &world.base.tokens.cache().all()[0];
    let now = world.base.tokens.clock().now();
    let bearer = world.base.minter.sign(token, now).unwrap();
    let none = tokens::testing::access_to("none", &["get"]);
    world.base.switches.access.store(std::sync::Arc::new(none));
    let check = async || {
        let checked = world.base.validity.check(bearer.expose(), "c-b", now).await;
        checked
            .map(|token| token.identity().groups)
            .map_err(|error| error.to_string())
    };
    let groups = [
        "system:authenticated",
        "kubeconfig-apiserver:cluster-admins",
    ];
    assert_eq!(check().await, Ok(groups.map(str::to_owned).to_vec()));
    let line = "DELETE /apis/ext.cattle.io/v1/clustergrants/admin";
    assert_eq!(world.call(ADMIN, line, None).await.code, 200);
    let lost = "the user of the token may no longer access the cluster";
    assert_eq!(check().await, Err(lost.to_owned()));
}
