//! Several servers on one namespace.

use std::sync::Arc;

use storage::{Error, Store};

use crate::fixture::{Host, THINGS, Things, key, text, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_write_by_one_is_seen_by_all() {
    let host = Host::start(&[]).await;
    let namespace = host.namespace();
    let replicas = [0; 3].map(|_| host.records(&namespace));
    let mut caches = Vec::new();
    for replica in &replicas {
        caches.push(Things::of(Arc::clone(replica) as _, THINGS).await);
    }
    let [a, b, c] = &replicas;
    let first = a.create(&key("x"), text("1")).await.unwrap();
    for cache in &caches {
        assert_eq!(cache.latest().await, ["x=1"]);
    }
    assert!(matches!(
        b.create(&key("x"), text("2")).await,
        Err(Error::Exists)
    ));
    let second = c.update(&key("x"), text("2"), first).await.unwrap();
    for cache in &caches {
        assert_eq!(cache.latest().await, ["x=2"]);
    }
    let stale = a.delete(&key("x"), first).await;
    assert!(matches!(stale, Err(Error::Conflict { current: Some(now) }) if now.revision == second));
    b.delete(&key("x"), second).await.unwrap();
    for cache in &caches {
        assert_eq!(cache.latest().await, [""; 0]);
    }
    // Even without a read, since that is how a revoked token is noticed.
    let third = a.create(&key("y"), text("1")).await.unwrap();
    for cache in &caches {
        until("it is there", async || {
            cache.collection.view().get(key("y").as_str()).map(drop)
        })
        .await;
    }
    c.delete(&key("y"), third).await.unwrap();
    for cache in &caches {
        until("it is gone", async || {
            cache.collection.view().is_empty().then_some(())
        })
        .await;
    }
}

/// After one replica has acknowledged a write, reads of the newest state from the others include
/// it.
#[tokio::test(flavor = "multi_thread")]
async fn reads_of_all_show_what_one_has_acknowledged() {
    let host = Host::start(&[]).await;
    let namespace = host.namespace();
    let replicas = [0; 3].map(|_| host.records(&namespace));
    let mut caches = Vec::new();
    for replica in &replicas {
        caches.push(Things::of(Arc::clone(replica) as _, THINGS).await);
    }
    let work = replicas.iter().enumerate().map(|(number, replica)| {
        let (replica, caches) = (Arc::clone(replica), &caches);
        async move {
            let name = format!("n{number}");
            let mut last = replica.create(&key(&name), text("0")).await.unwrap();
            for step in 1..30 {
                let value = step.to_string();
                last = replica
                    .update(&key(&name), text(&value), last)
                    .await
                    .unwrap();
                for cache in caches {
                    let view = cache.collection.latest().await.expect("it catches up");
                    let found = view.get(key(&name).as_str()).map(|text| text.as_str());
                    assert_eq!(found, Some(value.as_str()));
                }
            }
        }
    });
    futures_util::future::join_all(work).await;
}
