//! Checks that the Secrets of clusters are bound to the current connections of their clusters.

use super::report::Report;
use super::scene::Scene;
use crate::cluster::{Server, faults};
use crate::console::Console;

const TOPIC: &str = "clusters";

/// Checks the Secrets of all clusters.
pub(super) async fn check(scene: &Scene, console: &Console, report: &mut Report) {
    let server = Server {
        client: scene.host.clone(),
        namespace: scene.namespace.clone(),
        console,
    };
    match faults(&server).await {
        Ok(faults) if faults.is_empty() => {
            report.ok(TOPIC, "the Secrets of clusters are bound to their clusters");
        }
        Ok(faults) => {
            for fault in faults {
                report.problem(
                    TOPIC,
                    format!("{fault}, so the server does not use it"),
                    "run kubeconfig-apiserver cluster add, cluster bind or cluster webhook: docs/clusters.md",
                );
            }
        }
        Err(error) => report.unseen(TOPIC, "the Secrets of clusters", &error),
    }
}
