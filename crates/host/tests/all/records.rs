//! The store in the host.

use std::cell::RefCell;
use std::sync::Arc;

use storage::{Store, conformance};

use crate::fixture::Host;

#[tokio::test(flavor = "multi_thread")]
async fn records_keep_every_promise() {
    let host = Host::start(&[]).await;
    let running = RefCell::new(Vec::new());
    let fresh = async || {
        let records = host.records(&host.namespace());
        let store: Arc<dyn Store> = records.it.clone();
        running.replace(vec![records]);
        store
    };
    conformance::run(fresh).await;
}
