//! A host, and what lives in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use host::records::{Records, RecordsOptions};
use kube::Client;
use serde_json::json;
use test_cluster::http::{self, Request};
use test_cluster::{Options, TestCluster};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A cluster, its client, and a number for the next name.
pub(crate) struct Host {
    pub(crate) cluster: TestCluster,
    pub(crate) client: Client,
    next: AtomicUsize,
}

/// A part that runs until this is dropped.
pub(crate) struct Running<T> {
    pub(crate) it: Arc<T>,
    _stop: DropGuard,
}

impl<T> std::ops::Deref for Running<T> {
    type Target = Arc<T>;

    fn deref(&self) -> &Arc<T> {
        &self.it
    }
}

impl Host {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let cluster = TestCluster::start(&options(arguments)).expect("a cluster");
        let client = host::client::connect(Some(&cluster.admin_kubeconfig())).await;
        Self {
            cluster,
            client: client.expect("a client"),
            next: AtomicUsize::new(0),
        }
    }

    /// A name that no other part of the test has.
    pub(crate) fn name(&self, prefix: &str) -> String {
        format!("{prefix}-{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn namespace(&self) -> String {
        let name = self.name("store");
        self.make_namespace(&name);
        name
    }

    pub(crate) fn make_namespace(&self, name: &str) {
        let namespace = json!({"metadata": {"name": name}});
        self.post("/api/v1/namespaces", &namespace);
    }

    pub(crate) fn post(&self, path: &str, object: &serde_json::Value) {
        let admin = self.cluster.admin().expect("a client");
        let answer = admin.post(path, object).expect("an answer");
        http::expect(answer, 201).expect("it is made");
    }

    /// Sends a request as the administrator.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<(&str, &str)>,
    ) -> (u16, String) {
        let mut request = Request::new(method, path);
        if let Some((content, body)) = body {
            request = request.body(content, body.to_owned());
        }
        let admin = self.cluster.admin().expect("a client");
        let answer = admin.send(&request).expect("an answer");
        (answer.status, answer.text().to_string())
    }

    pub(crate) fn records(&self, namespace: &str) -> Running<Records> {
        self.records_as(self.client.clone(), namespace)
    }

    pub(crate) fn records_as(&self, client: Client, namespace: &str) -> Running<Records> {
        let options = RecordsOptions {
            namespace: namespace.to_owned(),
            instance: self.name("test"),
        };
        let records = Arc::new(Records::new(client, options));
        let stop = CancellationToken::new();
        tokio::spawn({
            let (records, stop) = (Arc::clone(&records), stop.clone());
            async move { records.run(stop).await }
        });
        Running {
            it: records,
            _stop: stop.drop_guard(),
        }
    }
}

pub(crate) fn options(arguments: &[&str]) -> Options {
    Options {
        arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
        ..Options::default()
    }
}
