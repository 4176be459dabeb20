//! Routing of paths to clusters. Requests do not reveal which clusters exist.

use crate::client::Answer;
use crate::cluster::Cluster;
use crate::world::World;

#[tokio::test]
async fn what_follows_the_id_arrives_byte_for_byte() {
    let world = World::start().await;
    let cluster = Cluster::answering(world.tls()).await;
    world.add("c-1", &cluster).await;
    let token = world.mint("alice", &["c-1"]).await;
    for (sent, arrives) in [
        ("/k8s/clusters/c-1", "/"),
        ("/k8s/clusters/c-1/", "/"),
        ("/k8s/clusters/c-1?a=%2F&b=//../", "/?a=%2F&b=//../"),
        (
            "/k8s/clusters/c-1/api/v1/namespaces/n/services/x/proxy/a%2Fb//c%20d;e?f=g%00",
            "/api/v1/namespaces/n/services/x/proxy/a%2Fb//c%20d;e?f=g%00",
        ),
        ("/k8s/clusters/c-1/x/a|b\"c{d}\\e", "/x/a|b\"c{d}\\e"),
    ] {
        let answer = world.get(sent, &token).await;
        assert_eq!(answer.code, 200, "{sent}");
        let seen = cluster.seen().concat();
        let line = seen.rsplit("GET ").next().unwrap().lines().next().unwrap();
        assert_eq!(line, format!("{arrives} HTTP/1.1"));
    }
}

#[tokio::test]
async fn an_ambiguous_path_reaches_no_cluster() {
    let world = World::start().await;
    let (one, ten) = (
        Cluster::answering(world.tls()).await,
        Cluster::answering(world.tls()).await,
    );
    world.add("c-1", &one).await;
    world.add("c-10", &ten).await;
    let token = world.mint("alice", &["c-1"]).await;
    for path in [
        "/k8s/clusters/c-1%30/api",
        "/k8s/clusters/c-1/../c-10/api",
        "/k8s/clusters/c-1/%2e%2e/c-10/api",
        "/k8s/clusters/c-1/..%2fc-10/api",
        "/k8s/clusters/c-1/..;/c-10/api",
        "/k8s/clusters/c-1\\..\\c-10/api",
        "/k8s/clusters/c-1/..\\c-10/api",
        "/k8s/clusters//c-1/api",
        "/k8s/clusters/c-1//api",
        "/k8s/clusters/c-1;c-10/api",
        "/k8s/clusters/c-1%00/api",
        "/k8s/clusters/C-1/api",
    ] {
        let answer = world.get(path, &token).await;
        let message = "the path is ambiguous";
        assert_eq!(answer.summary(), (400, message.to_owned()), "{path}");
    }
    let answer = world.get("/k8s/clusters/c-10/api", &token).await;
    assert_eq!(answer.summary(), (401, "Unauthorized".to_owned()));
    assert_eq!((one.seen().len(), ten.seen().len()), (0, 0));
}

#[tokio::test]
async fn another_host_in_the_request_line_changes_nothing() {
    let world = World::start().await;
    let (one, two) = (
        Cluster::answering(world.tls()).await,
        Cluster::answering(world.tls()).await,
    );
    world.add("c-1", &one).await;
    world.add("c-2", &two).await;
    let token = world.mint("alice", &["c-1"]).await;
    let line = format!("GET https://{}/k8s/clusters/c-1/api", two.address);
    let authorization = format!("Authorization: Bearer {token}");
    assert_eq!(world.call(&line, &[&authorization]).await.code, 200);
    assert!(one.only().starts_with("GET /api HTTP/1.1\r\n"));
    assert_eq!(two.seen().len(), 0);
}

#[tokio::test]
async fn the_local_cluster_and_all_other_paths_are_the_server_itself() {
    let world = World::start().await;
    for (path, expected) in [
        ("/k8s/clusters/local", "inner /"),
        (
            "/k8s/clusters/local/api/v1?watch=1",
            "inner /api/v1?watch=1",
        ),
        ("/k8s/clusters", "inner /k8s/clusters"),
        ("/apis", "inner /apis"),
        ("/k8s/clustersx/c-1", "inner /k8s/clustersx/c-1"),
    ] {
        let answer = world.call(&format!("GET {path}"), &[]).await;
        assert_eq!((answer.code, answer.body.as_str()), (200, expected));
    }
}

#[tokio::test]
async fn the_local_cluster_is_elsewhere_where_a_connection_says_so() {
    let world = World::start().await;
    let cluster = Cluster::answering(world.tls()).await;
    world.add("local", &cluster).await;
    let token = world.mint("alice", &["local"]).await;
    let path = "/k8s/clusters/local/api/v1";
    assert_eq!(world.get(path, &token).await.code, 200);
    assert!(cluster.only().starts_with("GET /api/v1 HTTP/1.1\r\n"));
    assert_eq!(world.get(path, "nothing").await.code, 401);
}

#[tokio::test]
async fn every_caller_who_is_not_known_gets_the_same_answer() {
    let world = World::start().await;
    let cluster = Cluster::answering(world.tls()).await;
    world.add("c-1", &cluster).await;
    let good = world.mint("alice", &["c-1"]).await;
    let other = world.mint("alice", &["c-2"]).await;
    let gone = world.mint("alice", &["c-gone"]).await;
    let expected = Answer {
        code: 401,
        headers: vec![
            "content-type: application/json".to_owned(),
            "x-content-type-options: nosniff".to_owned(),
            "content-length: 129".to_owned(),
        ],
        body: "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"Unauthorized\",\"reason\":\"Unauthorized\",\"code\":401}\n".to_owned(),
    };
    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let altered = format!("{signed}.{}", signature.chars().rev().collect::<String>());
    for (path, headers) in [
        ("/k8s/clusters/c-1/api", vec![]),
        ("/k8s/clusters/c-1/api", vec![bearer("nothing")]),
        ("/k8s/clusters/c-1/api", vec![bearer("")]),
        ("/k8s/clusters/c-1/api", vec![bearer(&altered)]),
        ("/k8s/clusters/c-1/api", vec![bearer(&good), bearer(&good)]),
        (
            "/k8s/clusters/c-1/api",
            vec!["Authorization: Basic YTpi".to_owned()],
        ),
        ("/k8s/clusters/c-1/api", vec![bearer(&other)]),
        (
            "/k8s/clusters/c-1/api",
            vec![format!("Cookie: token={good}; R_SESS={good}")],
        ),
        ("/k8s/clusters/c-2/api", vec![]),
        ("/k8s/clusters/c-2/api", vec![bearer(&good)]),
        ("/k8s/clusters/c-2/api", vec![bearer(&other)]),
        ("/k8s/clusters/c-gone/api", vec![bearer(&gone)]),
    ] {
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let answer = world.call(&format!("GET {path}"), &headers).await;
        assert_eq!(answer, expected, "{path} {headers:?}");
    }
    for key in ["token", "access_token"] {
        let line = format!("GET /k8s/clusters/c-1/api?{key}={good}");
        assert_eq!(world.call(&line, &[]).await, expected, "{key}");
    }
    assert_eq!(cluster.seen().len(), 0);
}
