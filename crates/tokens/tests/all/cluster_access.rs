//! Reviews of who may use a cluster.

use apiserver::testing::Answer;
use serde_json::{Value, json};
use tokens::testing::{World, object};

use crate::grants::{ADMIN, CAROL, create, token, world};

async fn review(world: &World, caller: &str, spec: Value) -> Answer {
    let review = json!({
        "apiVersion": "ext.cattle.io/v1", "kind": "ClusterAccessReview", "spec": spec,
    });
    let line = "POST /apis/ext.cattle.io/v1/clusteraccessreviews";
    world.http.call(caller, line, Some(review)).await
}

#[tokio::test]
async fn a_review_tells_who_may_use_a_cluster_and_why() {
    let world = world().await;
    let spec = json!({
        "subjects": [
            { "kind": "Group", "name": "team-a" },
            { "kind": "ServiceAccount", "namespace": "ci", "name": "deployer" },
            { "kind": "User", "name": "bob" },
        ],
        "clusters": { "names": ["c-b"] }, "groups": ["edit"],
        "access": { "readOnly": true }, "maxTTLSeconds": 3600,
    });
    create(&world, "g", spec).await;
    let granted = json!([{
        "name": "g", "groups": ["edit"], "access": { "readOnly": true }, "maxTTLSeconds": 3600,
    }]);
    // The server learns of carol's groups when she creates something.
    token(&world, CAROL, "c-b").await;
    let by_grant = "allowed by ClusterGrant \"g\"";
    let entry = |cluster: &str, subject: Value, groups: &[&str], reason: &str| {
        let mut entry = json!({ "clusterName": cluster, "subject": subject, "reason": reason });
        if !groups.is_empty() {
            entry["groups"] = json!(groups);
        }
        if reason == by_grant {
            entry["grants"] = granted.clone();
            entry["limited"] = json!(true);
        }
        entry
    };
    let user = |name: &str| json!({ "kind": "User", "name": name });
    let answer = review(&world, ADMIN, json!({ "clusterName": "c-b" })).await;
    assert_eq!(answer.code, 201, "{}", answer.body);
    let group = json!({ "kind": "Group", "name": "team-a" });
    let account = json!({ "kind": "ServiceAccount", "namespace": "ci", "name": "deployer" });
    let expected = json!([
        entry("c-b", group, &["edit"], by_grant),
        entry("c-b", account, &["edit"], by_grant),
        entry("c-b", user("bob"), &["edit"], by_grant),
        entry("c-b", user("carol"), &["team-a", "edit"], by_grant),
    ]);
    assert_eq!(answer.body["status"]["entries"], expected);

    // A user is found by the name of a login, although nothing recorded it.
    let erin =
        json!({ "metadata": { "name": "erin" }, "principalIds": ["erin@x.org", "local://e"] });
    world
        .users
        .store()
        .insert(object(erin), false)
        .await
        .unwrap();
    let spec = json!({
        "subjects": [{ "kind": "User", "name": "erin@x.org" }],
        "clusters": { "names": ["c-a"] },
    });
    create(&world, "mail", spec).await;
    let answer = review(&world, ADMIN, json!({ "clusterName": "c-a" })).await;
    let entries = answer.body["status"]["entries"].as_array().unwrap();
    let names: Vec<&Value> = entries
        .iter()
        .map(|entry| &entry["subject"]["name"])
        .collect();
    assert_eq!(names, ["alice", "bob", "erin@x.org"]);

    // A role has no limits, so those of the grant do not apply to alice.
    let spec = json!({
        "subjects": [{ "kind": "User", "name": "alice" }],
        "clusters": { "names": ["c-a"] }, "access": { "readOnly": true },
    });
    create(&world, "h", spec).await;
    let answer = review(&world, ADMIN, json!({ "userName": "alice" })).await;
    let by_role = answer.body["status"]["entries"][0]["reason"]
        .as_str()
        .unwrap();
    assert!(by_role.contains("token-users"), "{by_role}");
    let mut expected = entry("c-a", user("alice"), &[], by_role);
    expected["grants"] = json!([{ "name": "h", "access": { "readOnly": true } }]);
    assert_eq!(answer.body["status"]["entries"], json!([expected]));

    // A user who is disabled can use nothing.
    world
        .change(&world.users, "alice", |user| user.enabled = Some(false))
        .await;
    let answer = review(&world, ADMIN, json!({ "userName": "alice" })).await;
    assert_eq!(answer.body["status"]["entries"], json!([]));

    let none = review(&world, ADMIN, json!({})).await;
    let told = (none.code, none.body["message"].as_str());
    assert_eq!(
        told,
        (400, Some("spec.clusterName or spec.userName is required"))
    );
    let unknown = review(&world, ADMIN, json!({ "clusterName": "c-x" })).await;
    let told = (unknown.code, unknown.body["message"].as_str());
    assert_eq!(told, (400, Some("cluster c-x not found")));
    assert_eq!(
        review(&world, "as:dan", json!({ "userName": "dan" }))
            .await
            .code,
        403
    );
}
