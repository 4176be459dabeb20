use api::management::cluster::ClusterConnection;

use crate::fake_cluster::Home;

use super::*;

const DOMAIN: &str = "k8s.eu.example.com";

struct World {
    home: Home,
    directory: Directory,
}

impl World {
    async fn start() -> Self {
        let home = Home::start().await;
        let zone = Zone::new("acme", DOMAIN, None).unwrap();
        let directory = Directory::new(zone, home.clusters.clone());
        Self { home, directory }
    }

    async fn add(&self, id: &str, name: &str) {
        self.home.add(id, Some(ClusterConnection::default())).await;
        self.call(id, name).await;
    }

    async fn call(&self, id: &str, name: &str) {
        let name = name.to_owned();
        let rename = |cluster: &mut Cluster| cluster.spec.display_name = name;
        self.home.change(id, rename).await;
    }

    #[track_caller]
    fn check(&self, label: &str, endpoint: EndpointKind, cluster: Option<&str>) {
        let expected = ResolvedName {
            endpoint,
            cluster: cluster.map(Arc::from),
        };
        let found = self.directory.find(&format!("{label}.{DOMAIN}"));
        assert_eq!(found, Some(expected), "{label}");
    }
}

/// Returns the label of a cluster's hash.
fn label(id: &str) -> String {
    format!("acme-{}", hash(id))
}

#[tokio::test]
async fn clusters_are_found_by_their_hash_and_by_their_name() {
    let world = World::start().await;
    world.add("c-1", "prod").await;
    world.add("c-2", "Not a label").await;
    let hash = label("c-1");
    world.check(&hash, EndpointKind::Managed, Some("c-1"));
    world.check(&hash.to_uppercase(), EndpointKind::Managed, Some("c-1"));
    world.check(&format!("api.{hash}"), EndpointKind::Unmanaged, Some("c-1"));
    world.check("api.acme-prod", EndpointKind::Deprecated, Some("c-1"));
    let second = format!("api.{}", label("c-2"));
    world.check(&second, EndpointKind::Unmanaged, Some("c-2"));
    let found = world.directory.find("k8s.eu.example.com");
    assert_eq!(found, None);
}

#[tokio::test]
async fn other_names_of_the_zone_lead_nowhere() {
    let world = World::start().await;
    world.add("c-1", "prod").await;
    world.home.add("c-2", None).await;
    for managed in ["acme-prod", "acme-", "c-1", &hash("c-1"), &label("c-2")] {
        world.check(managed, EndpointKind::Managed, None);
    }
    for unmanaged in [
        "api.prod",
        "api.acme-staging",
        "api.acme-c-2",
        "x.acme-prod",
        "api.x.acme-prod",
        &format!("api.{}", label("c-2")),
    ] {
        world.check(unmanaged, EndpointKind::Unmanaged, None);
    }
}

#[tokio::test]
async fn a_name_of_two_clusters_is_of_none_until_one_is_called_otherwise() {
    let world = World::start().await;
    world.add("c-1", "prod").await;
    world.add("c-2", "prod").await;
    world.check("api.acme-prod", EndpointKind::Unmanaged, None);
    world.check(&label("c-1"), EndpointKind::Managed, Some("c-1"));
    world.call("c-2", "").await;
    world.check("api.acme-prod", EndpointKind::Deprecated, Some("c-1"));
    world.check("api.acme-c-2", EndpointKind::Deprecated, Some("c-2"));
}

#[tokio::test]
async fn nobody_is_called_by_the_hash_of_another() {
    let world = World::start().await;
    world.add("c-1", "prod").await;
    world.add("c-2", &hash("c-1")).await;
    let hash = format!("api.{}", label("c-1"));
    world.check(&hash, EndpointKind::Unmanaged, Some("c-1"));
}
