//! `clusters: ["*"]`: exactly the clusters that the caller may get.

use serde_json::{Value, json};
use tokens::testing::ROOT;

use crate::world::{ALICE, BOB, World, file, refused};

/// Returns the names of the clusters of a file.
fn clusters(record: &Value) -> Vec<String> {
    let file = file(record);
    let entries = file["clusters"].as_array().unwrap().iter();
    entries
        .map(|entry| entry["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_file_holds_the_clusters_that_its_owner_may_get() {
    let world = World::start().await;
    for user in [ALICE, BOB] {
        let spec = json!({ "clusters": ["*"], "includeDefaultEntry": false });
        let record = world.made(user, spec).await;
        assert_eq!(record["spec"]["clusters"], json!(["*"]));
        assert_eq!(record["spec"]["currentContext"], "c-a");
        assert_eq!(clusters(&record), ["c-a", "local"], "{user}");
        let token = world.first_token(&record).await;
        assert_eq!(token.spec.cluster_names, ["c-a", "local"], "{user}");
    }
    let spec = json!({ "clusters": ["*"], "currentContext": "c-b" });
    refused(
        &world.create(BOB, spec).await,
        400,
        "invalid currentContext c-b",
    );
    let user = json!({ "metadata": { "name": "root", "uid": "uid-root" } });
    let user = tokens::testing::object(user);
    world.base.users.store().insert(user, false).await.unwrap();
    let record = world.made(ROOT, json!({ "clusters": ["*"] })).await;
    assert_eq!(clusters(&record), ["rancher", "c-a", "c-b", "local"]);
}

#[tokio::test]
async fn the_star_counts_in_the_first_place_alone() {
    let world = World::start().await;
    let spec = json!({ "clusters": ["*", "no-such", "c-b"], "includeDefaultEntry": false });
    let record = world.made(ALICE, spec).await;
    assert_eq!(clusters(&record), ["c-a", "local"]);
    let spec = json!({ "clusters": ["c-a", "*"] });
    let answer = world.create(ALICE, spec).await;
    let message =
        "kubeconfigs.ext.cattle.io is forbidden: user alice is not allowed to access cluster *";
    refused(&answer, 403, message);
}

#[tokio::test]
async fn a_cluster_that_is_being_deleted_is_not_there() {
    let world = World::start().await;
    let going = |cluster: &mut api::management::Cluster| {
        cluster.metadata.deletion_timestamp = Some(machinery::meta::Time(apiserver::testing::NOW));
        cluster.metadata.finalizers = Some(vec!["example.com/wait".to_owned()]);
    };
    world.base.change(&world.clusters, "c-a", going).await;
    let answer = world.create(ALICE, json!({ "clusters": ["c-a"] })).await;
    refused(&answer, 400, "cluster c-a not found");
    let record = world.made(ALICE, json!({ "clusters": ["*"] })).await;
    assert_eq!(clusters(&record), ["rancher", "local"]);
}
