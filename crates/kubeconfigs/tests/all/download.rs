//! Download of the files of one cluster: the permissions, and the stored records.

use api::management::setting;
use apiserver::testing::Answer;
use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokens::testing::{ROOT, object};

use crate::world::{ALICE, BOB, PATH, World};

const ADMIN: &str = "as:root/system:masters";

/// Starts a world in which alice may get `c-a` and root may do everything. Cluster `c-a` has a
/// provider for logins, `c-b` has none.
async fn start() -> World {
    let world = World::start().await;
    let user = json!({ "metadata": { "name": "root", "uid": "uid-root" } });
    world
        .base
        .users
        .store()
        .insert(object(user), false)
        .await
        .unwrap();
    let direct = |cluster: &mut api::management::Cluster| {
        cluster.spec.local_cluster_auth_endpoint = object(json!({
            "enabled": true, "fqdn": "direct.example.com",
        }));
    };
    world.base.change(&world.clusters, "c-b", direct).await;
    let with_login = |cluster: &mut api::management::Cluster| {
        direct(cluster);
        cluster.spec.authentication = object(json!({
            "oidc": { "issuer": "https://login.example.com", "clientID": "kubernetes" },
        }));
    };
    world.base.change(&world.clusters, "c-a", with_login).await;
    world
}

async fn download(world: &World, user: &str, path: &str) -> Response<Body> {
    let request = Request::get(format!("/v1/spectroclusters/{path}"))
        .header("authorization", format!("Bearer {user}"));
    let request = request.body(Body::empty()).unwrap();
    world.base.http.send(request).await
}

/// Returns the status code of a response, and its file or message.
async fn told(response: Response<Body>) -> (u16, Value) {
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_saphyr::from_str(std::str::from_utf8(&bytes).unwrap()).unwrap();
    match code {
        200 => (code, body),
        _ => (code, body["message"].clone()),
    }
}

#[tokio::test]
async fn rights_on_the_cluster_decide() {
    let world = start().await;
    let forbidden = |why: &str| {
        (
            403,
            json!(format!("kubeconfigs.ext.cattle.io is forbidden: {why}")),
        )
    };
    let no_access = |cluster: &str| {
        forbidden(&format!(
            "user alice is not allowed to access cluster {cluster}"
        ))
    };
    let admins = "the admin kubeconfig of cluster c-a requires permission to delete the cluster";
    for (path, expected) in [
        ("c-b/assets/kubeconfig", no_access("c-b")),
        ("c-b/assets/adminkubeconfig", no_access("c-b")),
        ("no-such/assets/kubeconfig", no_access("no-such")),
        ("c-a/assets/adminkubeconfig", forbidden(admins)),
    ] {
        assert_eq!(
            told(download(&world, ALICE, path).await).await,
            expected,
            "{path}"
        );
    }
    let missing = told(download(&world, ADMIN, "no-such/assets/kubeconfig").await).await;
    let text = "clusters.management.cattle.io \"no-such\" not found";
    assert_eq!(missing, (404, json!(text)));
    assert_eq!(world.names(ROOT, PATH).await, [""; 0]);
}

#[tokio::test]
async fn a_user_logs_in_and_an_administrator_has_a_short_token() {
    let world = start().await;
    world
        .set(setting::KUBECONFIG_ADMIN_TOKEN_TTL_MINUTES, "5")
        .await;
    let (code, file) = told(download(&world, ALICE, "c-a/assets/kubeconfig").await).await;
    assert_eq!(
        (code, &file["users"][0]["user"]["exec"]["command"]),
        (200, &json!("kubectl-kubeconfig"))
    );
    assert_eq!(
        file["clusters"][0]["cluster"]["server"],
        "https://direct.example.com"
    );
    let answer = download(&world, ADMIN, "c-b/assets/adminkubeconfig").await;
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(
        header("content-disposition"),
        "attachment; filename=\"c-b-admin.kubeconfig\""
    );
    assert_eq!(header("cache-control"), "no-store");
    let (code, file) = told(answer).await;
    assert_eq!((code, file["clusters"].as_array().unwrap().len()), (200, 1));
    assert!(file["users"][0]["user"]["token"].is_string(), "{file}");

    let list: Answer = world.call(ROOT, &format!("GET {PATH}"), None).await;
    let records = list.body["items"].as_array().unwrap();
    let mut kept: Vec<Value> = records
        .iter()
        .map(|record| json!({ "spec": record["spec"], "user": record["status"]["userName"], "value": record["status"]["value"] }))
        .collect();
    kept.sort_by_key(|record| record["user"].to_string());
    let spec = |id: &str, what: &str, ttl: u32, generate: bool| {
        json!({
            "description": format!("{what} of cluster {id}, downloaded"), "clusters": [id], "currentContext": id,
            "includeDefaultEntry": false, "generateToken": generate, "ttl": ttl,
        })
    };
    let expected = [
        json!({ "spec": spec("c-a", "Kubeconfig", 2_592_000, false), "user": "alice", "value": null }),
        json!({ "spec": spec("c-b", "Admin kubeconfig", 300, true), "user": "root", "value": null }),
    ];
    assert_eq!(kept, expected);
    let admin = records
        .iter()
        .find(|record| record["status"]["userName"] == "root")
        .unwrap();
    let token = world.first_token(admin).await;
    assert_eq!(
        (token.spec.cluster_names, token.spec.groups),
        (
            vec!["c-b".to_owned()],
            vec!["kubeconfig-apiserver:cluster-admins".to_owned()]
        )
    );
}

#[tokio::test]
async fn a_cluster_may_forbid_downloads() {
    let world = start().await;
    let forbid = |cluster: &mut api::management::Cluster| {
        cluster.spec.downloads = object(json!({ "forbidden": true }));
    };
    world.base.change(&world.clusters, "c-a", forbid).await;
    let text = "kubeconfigs.ext.cattle.io is forbidden: downloads are forbidden for cluster c-a";
    for (user, asset) in [
        (ALICE, "kubeconfig"),
        (ADMIN, "kubeconfig"),
        (ADMIN, "adminkubeconfig"),
    ] {
        let answer = download(&world, user, &format!("c-a/assets/{asset}")).await;
        assert_eq!(told(answer).await, (403, json!(text)), "{user} {asset}");
    }
}

#[tokio::test]
async fn a_download_needs_the_right_to_create() {
    let world = start().await;
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/kubeconfig-users";
    assert_eq!(
        world
            .call(ROOT, &format!("DELETE {bindings}"), None)
            .await
            .code,
        200
    );
    let (code, message) = told(download(&world, BOB, "c-a/assets/kubeconfig").await).await;
    assert_eq!(code, 403, "{message}");
    let (code, _) = told(download(&world, "", "c-a/assets/kubeconfig").await).await;
    assert_eq!(code, 401);
}
