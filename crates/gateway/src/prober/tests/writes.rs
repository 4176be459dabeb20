//! The status that the prober writes, and the objects that it reads for it.

use super::*;

/// Returns what the prober reads of cluster `prod`, and at which revision.
async fn read(home: &Home, prober: &Prober) -> (Subject, Revision) {
    let key = ObjectKey::cluster("prod");
    let stored = home.clusters.store().find(key).await.unwrap().unwrap();
    (prober.subject(&stored).unwrap(), stored.revision())
}

#[tokio::test]
async fn nothing_is_written_while_nothing_changes() {
    let (home, fake) = (Home::start().await, FakeCluster::start().await);
    home.add_token("prod", "a-token").await;
    home.add("prod", Some(fake.connection("prod"))).await;
    let often = Options {
        period: Duration::from_millis(7),
        ..SELDOM
    };
    let _prober = start(&home, often);
    until(&home, "prod", |status| status.ready().is_some()).await;
    let first = home.cluster("prod").metadata.resource_version;
    asked(&fake, 5).await;
    assert_eq!(home.cluster("prod").metadata.resource_version, first);
}

#[tokio::test]
async fn objects_of_others_are_left_alone_without_a_connection() {
    let (home, fake) = (Home::start().await, FakeCluster::start().await);
    home.add("theirs", None).await;
    home.add("local", None).await;
    home.add_token("prod", "a-token").await;
    home.add("prod", Some(fake.connection("prod"))).await;
    let options = Options {
        unconnected: false,
        ..SELDOM
    };
    let _prober = start(&home, options);
    until(&home, "prod", |status| status.ready().is_some()).await;
    for name in ["theirs", "local"] {
        assert_eq!(home.cluster(name).status, ClusterStatus::default());
    }
}

#[tokio::test]
async fn what_was_found_of_an_older_spec_is_not_written() {
    let home = Home::start().await;
    home.add("prod", None).await;
    let prober = Prober::new(parts(&home, SELDOM));
    let (subject, revision) = read(&home, &prober).await;
    let mut changed = home.cluster("prod");
    changed.spec.display_name = "another".to_owned();
    home.clusters
        .store()
        .replace(changed, revision)
        .await
        .unwrap();
    prober.write(&subject, &Observation::local()).await.unwrap();
    assert_eq!(home.cluster("prod").status, ClusterStatus::default());
}

#[tokio::test]
async fn what_users_write_meanwhile_stays() {
    let home = Home::start().await;
    home.add("prod", None).await;
    let prober = Prober::new(parts(&home, SELDOM));
    let (subject, revision) = read(&home, &prober).await;
    let mut labelled = home.cluster("prod");
    labelled.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into());
    home.clusters
        .store()
        .replace(labelled.clone(), revision)
        .await
        .unwrap();
    prober.write(&subject, &Observation::local()).await.unwrap();
    let written = home.cluster("prod");
    assert_eq!(written.metadata.labels, labelled.metadata.labels);
    assert_eq!(ready(&written.status), Some(("True", "Connected")));
}

#[tokio::test]
async fn a_change_of_one_cluster_reads_that_cluster_and_no_other() {
    const CLUSTERS: usize = 50;
    let home = Home::start().await;
    for number in 0..CLUSTERS {
        home.add(&format!("c-{number}"), None).await;
    }
    let prober = Arc::new(Prober::new(parts(&home, SELDOM)));
    let running = Arc::clone(&prober);
    let _running = AbortOnDropHandle::new(tokio::spawn(async move { running.follow().await }));
    for number in 0..CLUSTERS {
        until(&home, &format!("c-{number}"), |it| it.ready().is_some()).await;
    }
    // Each cluster is read once more, after its probe was written.
    let read = || prober.updates.load(std::sync::atomic::Ordering::SeqCst);
    let wait = async {
        while read() < CLUSTERS * 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
    let before = read();
    home.change("c-7", |cluster| cluster.status.conditions.clear())
        .await;
    until(&home, "c-7", |status| status.ready().is_some()).await;
    let after = read() - before;
    assert!(after <= 2 + CLUSTERS / 10, "{after} clusters were read");
}
