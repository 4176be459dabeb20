//! The life cycle of a CA, by days.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use jiff::SignedDuration;

use super::world::{World, connect, listen};

/// Less than half of the serving certificate's remaining lifetime at renewal.
const STRIDE: SignedDuration = SignedDuration::from_hours(24 * 4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_ca_is_replaced_no_client_that_trusts_the_bundle_fails() {
    let world = Arc::new(World::start().await);
    let replicas = [world.replica(), world.replica(), world.replica()];
    let mut ports = Vec::new();
    for replica in &replicas {
        replica.reconcile().await;
        ports.push(listen(replica).await);
    }
    let (ended, connected) = (AtomicBool::new(false), AtomicUsize::new(0));

    let clients = async {
        while !ended.load(Ordering::SeqCst) {
            let bundle = world.bundle().await;
            for port in &ports {
                let outcome = connect(*port, &bundle, &world.clock).await;
                outcome.unwrap_or_else(|error| panic!("replica at {port}: {error}"));
                connected.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    let days = async {
        let mut story = vec![world.phase().await];
        for stride in 0..120 {
            world.clock.advance(STRIDE);
            // One of them skips every other pass.
            let [first, second, late] = &replicas;
            tokio::join!(first.reconcile(), second.reconcile(), async {
                if stride % 2 == 0 {
                    late.reconcile().await;
                }
            });
            let before = connected.load(Ordering::SeqCst);
            while connected.load(Ordering::SeqCst) < before + 6 {
                tokio::task::yield_now().await;
            }
            let now = world.phase().await;
            if story.last() != Some(&now) {
                story.push(now);
            }
        }
        ended.store(true, Ordering::SeqCst);
        story
    };

    let ((), story) = tokio::join!(clients, days);
    let turn = [
        (vec!["ca.crt"], 1),
        (vec!["ca.crt", "next-ca.crt"], 2),
        (vec!["ca.crt", "previous-ca.crt"], 2),
    ];
    let expected = [&turn[..], &turn[..], &turn[..1]].concat();
    assert_eq!(story, expected);
    for replica in &replicas {
        assert_eq!(replica.trouble(), None);
    }
}
