//! Grants: who may get a cluster, with which groups, and for how long.

use std::sync::Arc;

use api::ext::Token;
use api::management::Cluster;
use api::management::cluster::ClusterGroups;
use apiserver::testing::{Answer, NOW};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokens::testing::{Minted, World, object, refused};

const GRANTS: &str = "/apis/ext.cattle.io/v1/clustergrants";

pub(crate) const ADMIN: &str = "login:root/0/system:masters";

/// A member of team-a, who has no right to a cluster but by grants.
pub(crate) const CAROL: &str = "login:carol/0/team-a";

/// Starts a server with user carol, where all users may create tokens.
pub(crate) async fn world() -> World {
    let mut ground = tokens::testing::Ground::new().await;
    let group = "rbac.authorization.k8s.io";
    ground.roles.push(object(json!({
        "metadata": { "name": "everybody" },
        "rules": [
            { "apiGroups": ["ext.cattle.io"], "resources": ["tokens"], "verbs": ["create"] },
        ],
    })));
    ground.roles.push(object(json!({
        "metadata": { "name": "granter" },
        "rules": [
            { "apiGroups": ["ext.cattle.io"], "resources": ["clustergrants"],
              "verbs": ["create", "patch"] },
            { "apiGroups": ["management.cattle.io"], "resources": ["clusters"],
              "resourceNames": ["c-a"], "verbs": ["get"] },
            { "apiGroups": ["management.cattle.io"], "resources": ["clusters"],
              "resourceNames": ["c-b"], "verbs": ["get", "delete"] },
        ],
    })));
    for (role, kind, name) in [
        ("everybody", "Group", "system:authenticated"),
        ("granter", "User", "dan"),
    ] {
        ground.bindings.push(object(json!({
            "metadata": { "name": role },
            "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": role },
            "subjects": [{ "apiGroup": group, "kind": kind, "name": name }],
        })));
    }
    let world = ground.start(|builder| builder).await;
    // Only grants give access to clusters.
    world
        .switches
        .access
        .store(Arc::new(tokens::testing::access_to("none", &["get"])));
    let carol = object(json!({ "metadata": { "name": "carol", "uid": "uid-carol" } }));
    world.users.store().insert(carol, false).await.unwrap();
    world
}

pub(crate) fn grant(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "ext.cattle.io/v1", "kind": "ClusterGrant",
        "metadata": { "name": name }, "spec": spec,
    })
}

pub(crate) fn team_a() -> Value {
    json!([{ "kind": "Group", "name": "team-a" }])
}

async fn create_as(world: &World, caller: &str, grant: Value) -> Answer {
    let line = format!("POST {GRANTS}");
    world.http.call(caller, &line, Some(grant)).await
}

/// Creates a grant as an administrator.
pub(crate) async fn create(world: &World, name: &str, spec: Value) {
    let answer = create_as(world, ADMIN, grant(name, spec)).await;
    assert_eq!(answer.code, 201, "{}", answer.body);
}

async fn delete(world: &World, name: &str) {
    let line = format!("DELETE {GRANTS}/{name}");
    assert_eq!(world.http.call(ADMIN, &line, None).await.code, 200);
}

/// Requests a token for a cluster.
async fn ask(world: &World, caller: &str, cluster: &str, ttl: i64) -> Answer {
    let spec = json!({ "clusterName": cluster, "ttl": ttl });
    world.create_token(caller, spec).await
}

pub(crate) async fn token(world: &World, caller: &str, cluster: &str) -> Minted {
    Minted::of(&ask(world, caller, cluster, 0).await)
}

/// Returns the groups of a token at a cluster, or the reason that it is not valid there.
async fn groups(world: &World, token: &Minted, cluster: &str) -> Result<Vec<String>, String> {
    let checked = world.validity.check(&token.bearer, cluster, NOW).await;
    checked
        .map(|token| token.identity().groups)
        .map_err(|refusal| refusal.to_string())
}

fn list(groups: &[&str]) -> Result<Vec<String>, String> {
    Ok(groups.iter().map(|&group| group.to_owned()).collect())
}

async fn label(world: &World, cluster: &str, labels: Value) {
    let labels = serde_json::from_value(labels).unwrap();
    let set = |cluster: &mut Cluster| cluster.metadata.labels = Some(labels);
    world.change(&world.clusters, cluster, set).await;
}

#[tokio::test]
async fn a_grant_gives_a_cluster_and_groups_there_until_it_is_deleted() {
    let world = world().await;
    let answer = ask(&world, CAROL, "c-a", 0).await;
    let forbidden =
        "tokens.ext.cattle.io is forbidden: user carol is not allowed to access cluster c-a";
    assert_eq!(
        (answer.code, &answer.body["message"]),
        (403, &json!(forbidden))
    );

    let spec = json!({
        "subjects": team_a(), "clusters": { "names": ["c-a"] },
        "groups": ["kubeconfig-apiserver:edit"],
    });
    create(&world, "edit", spec).await;
    let token = token(&world, CAROL, "c-a").await;
    let edit = [
        "system:authenticated",
        "team-a",
        "kubeconfig-apiserver:edit",
    ];
    assert_eq!(groups(&world, &token, "c-a").await, list(&edit));
    let a = world.enrol("c-a").await;
    let answer = world.review(a.expose(), &token.bearer, &[]).await;
    assert_eq!(answer["user"]["groups"], json!(edit));
    assert_eq!(ask(&world, CAROL, "c-b", 0).await.code, 403);

    let spec = json!({ "subjects": team_a(), "clusters": { "names": ["c-a"] } });
    create(&world, "plain", spec).await;
    delete(&world, "edit").await;
    assert_eq!(groups(&world, &token, "c-a").await, list(&edit[..2]));
    delete(&world, "plain").await;
    let no_access = "the user of the token may no longer access the cluster";
    assert_eq!(
        groups(&world, &token, "c-a").await,
        Err(no_access.to_owned())
    );
    assert_eq!(
        world.review(a.expose(), &token.bearer, &[]).await,
        refused()
    );
}

#[tokio::test]
async fn the_subjects_are_users_groups_and_service_accounts() {
    let world = world().await;
    let subjects = json!([
        { "kind": "User", "name": "carol" },
        { "kind": "Group", "name": "team-b" },
        { "kind": "ServiceAccount", "namespace": "ci", "name": "deployer" },
    ]);
    create(
        &world,
        "g",
        json!({ "subjects": subjects, "clusters": { "names": ["c-a"] } }),
    )
    .await;
    let may_get = async |caller: &str| {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": {
                "verb": "get", "group": "management.cattle.io", "resource": "clusters",
                "name": "c-a",
            } },
        });
        let line = "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let answer = world.http.call(caller, line, Some(review)).await;
        (
            answer.body["status"]["allowed"].clone(),
            answer.body["status"]["reason"].clone(),
        )
    };
    let by_grant = (json!(true), json!("allowed by ClusterGrant \"g\""));
    for caller in [
        "as:carol",
        "login:erin/0/team-b",
        "as:system:serviceaccount:ci:deployer",
    ] {
        assert_eq!(may_get(caller).await, by_grant, "{caller}");
    }
    for caller in ["as:erin", "login:erin/0/carol", "as:team-b", "as:deployer"] {
        assert_eq!(may_get(caller).await.0, json!(false), "{caller}");
    }
}

#[tokio::test]
async fn a_selector_follows_the_labels_of_clusters() {
    let world = world().await;
    let selector = json!({
        "matchLabels": { "env": "prod" },
        "matchExpressions": [{ "key": "tier", "operator": "NotIn", "values": ["core"] }],
    });
    let spec = json!({
        "subjects": team_a(), "clusters": { "selector": selector }, "groups": ["prod"],
    });
    create(&world, "prod", spec).await;
    assert_eq!(ask(&world, CAROL, "c-a", 0).await.code, 403);
    label(&world, "c-a", json!({ "env": "prod", "tier": "edge" })).await;
    let a = token(&world, CAROL, "c-a").await;
    let with = list(&["system:authenticated", "team-a", "prod"]);
    assert_eq!(groups(&world, &a, "c-a").await, with);
    label(&world, "c-a", json!({ "env": "prod", "tier": "core" })).await;
    assert!(groups(&world, &a, "c-a").await.is_err());
    label(&world, "c-a", json!({ "env": "prod" })).await;
    assert_eq!(groups(&world, &a, "c-a").await, with);
}

#[tokio::test]
async fn a_list_of_clusters_has_those_of_the_grants() {
    let world = world().await;
    let rules = async |caller: &str| {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
            "spec": { "namespace": "default" },
        });
        let line = "POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
        let answer = world.http.call(caller, line, Some(review)).await;
        let rules = answer.body["status"]["resourceRules"].as_array().unwrap();
        let about = rules
            .iter()
            .filter(|rule| rule["resources"] == json!(["clusters"]));
        about.cloned().collect::<Vec<_>>()
    };
    assert_eq!(rules(CAROL).await, [] as [Value; 0]);
    let everything = json!({ "selector": {} });
    create(
        &world,
        "g",
        json!({ "subjects": team_a(), "clusters": everything }),
    )
    .await;
    let group = json!(["management.cattle.io"]);
    let expected = [
        json!({
            "apiGroups": group, "resources": ["clusters"], "resourceNames": ["c-a", "c-b"],
            "verbs": ["get"],
        }),
        json!({ "apiGroups": group, "resources": ["clusters"], "verbs": ["list", "watch"] }),
    ];
    assert_eq!(rules(CAROL).await, expected);
}

#[tokio::test]
async fn a_group_that_is_lost_ends_its_grants() {
    let world = world().await;
    let spec = json!({
        "subjects": team_a(), "clusters": { "names": ["c-a"] }, "groups": ["prod"],
    });
    create(&world, "g", spec).await;
    let token = token(&world, CAROL, "c-a").await;
    let spec = json!({
        "subjects": [{ "kind": "User", "name": "carol" }], "clusters": { "names": ["c-a"] },
        "groups": ["own"],
    });
    create(&world, "own", spec).await;
    let both = list(&["system:authenticated", "team-a", "prod", "own"]);
    assert_eq!(groups(&world, &token, "c-a").await, both);
    let me = "POST /apis/authentication.k8s.io/v1/selfsubjectreviews";
    world.http.call("login:carol/1", me, Some(json!({}))).await;
    let own = list(&["system:authenticated", "own"]);
    assert_eq!(groups(&world, &token, "c-a").await, own);
    delete(&world, "own").await;
    assert!(groups(&world, &token, "c-a").await.is_err());
}

/// No later login could confirm the groups of an impersonated user.
#[tokio::test]
async fn an_impersonated_user_has_no_groups_of_grants_to_groups() {
    let world = world().await;
    for (name, subject) in [
        (
            "by-group",
            json!([{ "kind": "Group", "name": "system:authenticated" }]),
        ),
        ("by-team", team_a()),
        ("by-name", json!([{ "kind": "User", "name": "carol" }])),
    ] {
        let spec = json!({
            "subjects": subject, "clusters": { "names": ["c-a"] }, "groups": [name],
        });
        create(&world, name, spec).await;
    }
    let token = token(&world, "as:carol", "c-a").await;
    let claimed = |record: &mut Token| record.status.groups = vec!["team-a".to_owned()];
    world.change(&world.tokens, &token.name, claimed).await;
    let expected = list(&["system:authenticated", "by-group", "by-name"]);
    assert_eq!(groups(&world, &token, "c-a").await, expected);
}

#[tokio::test]
async fn the_group_of_a_clusters_administrators_comes_from_no_grant() {
    let world = world().await;
    let spec = json!({
        "subjects": team_a(), "clusters": { "names": ["c-a"] },
        "groups": ["kubeconfig-apiserver:cluster-admins", "Kubeconfig-apiserver:cluster-admins", "x"],
    });
    create(&world, "g", spec).await;
    let token = token(
        &world,
        "login:carol/0/team-a/kubeconfig-apiserver:admin",
        "c-a",
    )
    .await;
    let expected = list(&["system:authenticated", "team-a", "x"]);
    assert_eq!(groups(&world, &token, "c-a").await, expected);
}

#[tokio::test]
async fn the_longest_maximum_of_the_grants_limits_lifetimes() {
    let world = world().await;
    let create_with = async |name: &str, max: Value| {
        let spec = json!({
            "subjects": team_a(), "clusters": { "names": ["c-a"] }, "maxTTLSeconds": max,
        });
        create(&world, name, spec).await;
    };
    let ttl = async |caller: &str, asked: i64| {
        let answer = ask(&world, caller, "c-a", asked).await;
        assert_eq!(answer.code, 201, "{}", answer.body);
        answer.body["spec"]["ttl"].as_i64().unwrap() / 1000
    };
    create_with("short", json!(600)).await;
    assert_eq!(ttl(CAROL, 0).await, 600);
    assert_eq!(ttl(CAROL, 300_000).await, 300);
    create_with("long", json!(1200)).await;
    assert_eq!(ttl(CAROL, 0).await, 1200);
    // alice may get the cluster by RBAC, so the grants do not limit her.
    let unlimited = ttl("as:alice", 0).await;
    assert!(unlimited > 1200, "{unlimited}");
    assert_eq!(ttl("login:alice/0/team-a", 0).await, unlimited);
    create_with("open", Value::Null).await;
    assert_eq!(ttl(CAROL, 0).await, unlimited);
}

/// dan may write grants, may get `c-a` and `c-b`, and administers `c-b`.
#[tokio::test]
async fn nobody_grants_more_than_they_have() {
    let world = world().await;
    let check = async |what: &str, spec: Value, expected: Option<&str>| {
        let mut spec = spec;
        spec["subjects"] = team_a();
        let answer = create_as(&world, "as:dan", grant(what, spec)).await;
        let told = answer.body["message"].as_str();
        let expected = expected.map(|expected| {
            format!("clustergrants.ext.cattle.io {what:?} is forbidden: user \"dan\" may not grant {expected}, or the verb escalate on clustergrants")
        });
        assert_eq!(
            (told, answer.code),
            (
                expected.as_deref(),
                if expected.is_some() { 403 } else { 201 }
            ),
            "{what}"
        );
    };
    let a_and_b = json!({ "names": ["c-a", "c-b"] });
    check("get", json!({ "clusters": a_and_b }), None).await;
    let groups = json!({ "clusters": { "names": ["c-b"] }, "groups": ["x"] });
    check("groups", groups, None).await;
    let admin = json!({ "clusters": { "names": ["c-b"] }, "adminDownloads": true });
    check("admin", admin, None).await;
    check(
        "foreign",
        json!({ "clusters": { "names": ["c-a", "c-c"] } }),
        Some("access to cluster c-c: that requires the permission to get it by RBAC"),
    )
    .await;
    let wants = "groups or administrators' files in cluster c-a: that requires the permission to delete it by RBAC";
    check(
        "all",
        json!({ "clusters": a_and_b, "groups": ["x"] }),
        Some(wants),
    )
    .await;
    check(
        "all",
        json!({ "clusters": a_and_b, "adminDownloads": true }),
        Some(wants),
    )
    .await;
    check(
        "selected",
        json!({ "clusters": { "selector": { "matchLabels": { "a": "b" } } } }),
        Some("access to all clusters: that requires the permission to get them by RBAC"),
    )
    .await;

    // A grant does not entitle to grant.
    let to_dan = json!({
        "subjects": [{ "kind": "User", "name": "dan" }], "clusters": { "selector": {} },
    });
    create(&world, "to-dan", to_dan).await;
    check(
        "again",
        json!({ "clusters": { "names": ["c-c"] } }),
        Some("access to cluster c-c: that requires the permission to get it by RBAC"),
    )
    .await;
}

#[tokio::test]
async fn an_update_is_checked_like_a_create() {
    let world = world().await;
    let spec = json!({
        "subjects": team_a(), "clusters": { "names": ["c-a"] }, "groups": ["x"],
    });
    create(&world, "g", spec).await;
    let patch = async |change: Value| {
        let line = format!("PATCH {GRANTS}/g");
        world.http.call("as:dan", &line, Some(change)).await.code
    };
    assert_eq!(
        patch(json!({ "spec": { "description": "about it" } })).await,
        200
    );
    assert_eq!(
        patch(json!({ "metadata": { "labels": { "a": "b" } } })).await,
        200
    );
    let bob = json!([{ "kind": "User", "name": "bob" }]);
    assert_eq!(patch(json!({ "spec": { "subjects": bob } })).await, 403);
    assert_eq!(patch(json!({ "spec": { "maxTTLSeconds": 5 } })).await, 403);
    assert_eq!(patch(json!({ "spec": { "groups": null } })).await, 200);
    assert_eq!(patch(json!({ "spec": { "groups": ["x"] } })).await, 403);
}

#[tokio::test]
async fn a_table_tells_who_may_what() {
    let world = world().await;
    let spec = json!({
        "subjects": [
            { "kind": "Group", "name": "team-a" },
            { "kind": "ServiceAccount", "namespace": "ci", "name": "deployer" },
        ],
        "clusters": { "names": ["c-a"], "selector": { "matchLabels": { "env": "prod" } } },
        "groups": ["kubeconfig-apiserver:edit", "x"], "maxTTLSeconds": 3600, "description": "why",
    });
    create(&world, "g", spec).await;
    create(
        &world,
        "h",
        json!({ "subjects": team_a(), "clusters": { "selector": {} } }),
    )
    .await;
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let line = format!("GET {GRANTS}");
    let table = world.http.call_accepting(accept, ADMIN, &line, None).await;
    let rows = table.body["rows"].as_array().unwrap().iter();
    let cells: Vec<Value> = rows.map(|row| row["cells"].clone()).collect();
    assert_eq!(
        cells,
        [
            json!([
                "g",
                "Group:team-a, ServiceAccount:ci/deployer",
                "c-a, (env=prod)",
                "kubeconfig-apiserver:edit, x",
                "60m",
                "0s",
                "why"
            ]),
            json!(["h", "Group:team-a", "*", "", "", "0s", ""]),
        ]
    );
}

/// Returns the ceilings of a token at a cluster, one of which a request must pass.
async fn limits(world: &World, token: &Minted, cluster: &str) -> Vec<bool> {
    let checked = world.validity.check(&token.bearer, cluster, NOW).await;
    let limits = checked.unwrap().ceilings();
    assert!(limits.all.is_empty());
    limits.any.iter().map(|limit| limit.read_only).collect()
}

#[tokio::test]
async fn limits_of_a_grant_apply_unless_the_user_has_the_cluster_without_them() {
    let world = world().await;
    let create_with = async |name: &str, access: Value| {
        let spec = json!({
            "subjects": team_a(), "clusters": { "names": ["c-a"] }, "access": access,
        });
        create(&world, name, spec).await;
    };
    create_with("read", json!({ "readOnly": true })).await;
    let carol = token(&world, CAROL, "c-a").await;
    assert_eq!(limits(&world, &carol, "c-a").await, [true]);
    let a = world.enrol("c-a").await;
    assert_eq!(
        world.review(a.expose(), &carol.bearer, &[]).await,
        refused()
    );
    let payload = carol.bearer.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    assert_eq!(claims["aud"], json!(["cluster:*"]));

    // Each of two grants permits something.
    create_with("dev", json!({ "namespaces": ["dev"] })).await;
    assert_eq!(limits(&world, &carol, "c-a").await, [false, true]);
    create_with("open", Value::Null).await;
    assert_eq!(limits(&world, &carol, "c-a").await, [] as [bool; 0]);
    delete(&world, "open").await;

    // By RBAC, all users may get the cluster without limits.
    let all_users = tokens::testing::access_to("c-a", &["get"]);
    world.switches.access.store(Arc::new(all_users));
    assert_eq!(limits(&world, &carol, "c-a").await, [] as [bool; 0]);
}

/// alice may get the cluster without grants.
#[tokio::test]
async fn groups_of_a_grant_count_within_its_limits_only() {
    let world = world().await;
    let all = tokens::testing::access_to("c-a", &["get"]);
    world.switches.access.store(Arc::new(all));
    let create_with = async |name: &str, more: Value| {
        let mut spec = json!({
            "subjects": [{ "kind": "User", "name": "alice" }],
            "clusters": { "names": ["c-a"] }, "groups": [name],
        });
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        create(&world, name, spec).await;
    };
    create_with("open", json!({})).await;
    create_with("read", json!({ "access": { "readOnly": true } })).await;
    create_with("brief", json!({ "maxTTLSeconds": 60 })).await;
    let set = |cluster: &mut Cluster| {
        cluster.spec.groups = Some(ClusterGroups {
            in_tokens: true,
            ..ClusterGroups::default()
        });
    };
    world.change(&world.clusters, "c-a", set).await;
    let alice = token(&world, "as:alice", "c-a").await;
    let at = async |secs: i64| {
        let now = NOW + SignedDuration::from_secs(secs);
        let checked = world.validity.check(&alice.bearer, "c-a", now).await;
        let checked = checked.unwrap();
        let granted = checked.granted_groups().iter();
        let granted: Vec<String> = granted.flat_map(|it| it.groups.clone()).collect();
        (checked.identity().groups[1..].to_vec(), granted)
    };
    let texts = |texts: &[&str]| {
        texts
            .iter()
            .map(|&text| text.to_owned())
            .collect::<Vec<_>>()
    };
    let both = (texts(&["open", "brief"]), texts(&["read"]));
    let one = (texts(&["open"]), texts(&["read"]));
    let mut found = [at(59).await, at(60).await];
    found[0].0.sort();
    let mut expected = [both, one];
    expected[0].0.sort();
    assert_eq!(found, expected);

    let a = world.enrol("c-a").await;
    let review = world.review(a.expose(), &alice.bearer, &[]).await;
    let groups = review["user"]["groups"].as_array().unwrap();
    assert!(!groups.contains(&json!("read")), "{review}");
    // The cluster cannot enforce limits, and the token outlives the other grant.
    let claims = |token: &Minted| -> Value {
        let payload = token.bearer.split('.').nth(1).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
    };
    assert_eq!(claims(&alice)["groups"], json!(["open"]));
    let short = Minted::of(&ask(&world, "as:alice", "c-a", 60_000).await);
    assert_eq!(claims(&short)["groups"], json!(["brief", "open"]));
}

#[tokio::test]
async fn an_administrators_file_has_no_limits() {
    let world = world().await;
    let spec = json!({
        "subjects": team_a(), "clusters": { "names": ["c-a"] },
        "access": { "readOnly": true }, "adminDownloads": true,
    });
    let answer = create_as(&world, ADMIN, grant("both", spec)).await;
    let message = answer.body["message"].as_str().unwrap();
    let expected = "spec.adminDownloads: Invalid value: true: cannot be combined with access: the administrator's file has no limits";
    assert!(
        answer.code == 422 && message.ends_with(expected),
        "{message}"
    );
}
