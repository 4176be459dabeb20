//! The Secret that replicas share.

use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};

use super::ServingOptions;
use super::call::{Failure, Written, write};
use super::changes::named;
use super::state::State;

/// The Secret, by its name.
pub(super) struct Secrets {
    pub(super) api: Api<Secret>,
    pub(super) name: String,
    namespace: String,
}

impl Secrets {
    pub(super) fn new(client: Client, options: &ServingOptions) -> Self {
        Self {
            api: Api::namespaced(client, &options.namespace),
            name: format!("{}-serving", options.service),
            namespace: options.namespace.clone(),
        }
    }

    /// The Secret as it is now, if it is there, and the version to follow changes from.
    pub(super) async fn read(&self) -> Result<(Option<Secret>, String), String> {
        let read = named(&self.api, &self.name).await;
        read.map_err(|failure| self.trouble("read", failure))
    }

    /// What it holds.
    pub(super) fn parse(&self, secret: &Secret) -> Result<State, String> {
        let data = secret.data.clone().unwrap_or_default();
        State::parse(&data).map_err(|(entry, error)| {
            format!(
                "Secret {}/{} holds in {entry} what this server did not put there ({error}): delete it, and a new one is made",
                self.namespace, self.name
            )
        })
    }

    /// Makes it.
    pub(super) async fn create(&self, state: &State) -> Result<Written, String> {
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                ..ObjectMeta::default()
            },
            data: Some(state.data()),
            ..Secret::default()
        };
        let created = write(self.api.create(&PostParams::default(), &secret)).await;
        created.map_err(|failure| self.trouble("create", failure))
    }

    /// Writes another state where it still is as it was read.
    pub(super) async fn replace(&self, read: Secret, state: &State) -> Result<Written, String> {
        let secret = Secret {
            data: Some(state.data()),
            ..read
        };
        let params = PostParams::default();
        let replaced = write(self.api.replace(&self.name, &params, &secret)).await;
        replaced.map_err(|failure| self.trouble("update", failure))
    }

    fn trouble(&self, verb: &str, failure: Failure) -> String {
        let (namespace, name) = (&self.namespace, &self.name);
        let text = format!("cannot {verb} Secret {namespace}/{name}");
        match failure {
            Failure::Forbidden(message) => format!(
                "{text}: {message}: give the ServiceAccount get, list, watch, create and update on Secrets in namespace {namespace}"
            ),
            Failure::Other(message) => format!("{text}: {message}"),
        }
    }
}
