//! The Secret that the replicas share.
//!
//! Its entry `state` holds the whole state, sealed for this Secret. The certificates are also
//! stored in plain text, for people and for `check`. The server does not read those, and rewrites
//! them if they differ. So a user who may write Secrets cannot make the host and new kubeconfig
//! files trust a CA, and a user who may read Secrets does not learn a key.

use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};

use storage::sealed::Keyring;

use super::ServingOptions;
use super::call::{Failure, Written, write};
use super::changes::named;
use super::state::{Data, State};

/// The entry with the sealed state.
const STATE: &str = "state";

/// The Secret with a given name.
pub(super) struct Secrets {
    pub(super) api: Api<Secret>,
    pub(super) name: String,
    namespace: String,
    keyring: Arc<Keyring>,
}

/// The contents of the Secret.
pub(super) enum Stored {
    /// A sealed state of this server. The flag is true if the Secret is up to date.
    Sealed(State, bool),
    /// An unsealed state, of an earlier version or of another writer.
    Plain(State),
}

impl Secrets {
    pub(super) fn new(client: Client, options: &ServingOptions, keyring: Arc<Keyring>) -> Self {
        Self {
            api: Api::namespaced(client, &options.namespace),
            name: format!("{}-serving", options.service),
            namespace: options.namespace.clone(),
            keyring,
        }
    }

    /// Reads the Secret, if it exists. Also returns the version to follow changes from.
    pub(super) async fn read(&self) -> Result<(Option<Secret>, String), String> {
        let read = named(&self.api, &self.name).await;
        read.map_err(|failure| self.trouble("read", failure))
    }

    /// Parses the contents of the Secret.
    ///
    /// # Errors
    /// This server did not write the contents.
    pub(super) fn parse(&self, secret: &Secret) -> Result<Stored, String> {
        let none = Data::new();
        let data = secret.data.as_ref().unwrap_or(&none);
        let parse = |data: &Data| {
            let state = State::parse(data);
            state.map_err(|(entry, error)| {
                self.foreign(&format!(
                    "has content in {entry} that this server did not write ({error})"
                ))
            })
        };
        let Some(sealed) = data.get(STATE) else {
            return parse(data).map(Stored::Plain);
        };
        let opened = self.keyring.open_at(&self.place(), &sealed.0);
        let opened = opened.and_then(|text| serde_json::from_slice::<Data>(&text).ok());
        let state = parse(&opened.ok_or_else(|| self.unsealed())?)?;
        let mut open = data.clone();
        open.remove(STATE);
        let is_whole = open == state.certificates() && self.keyring.sealed_newest(&sealed.0);
        Ok(Stored::Sealed(state, is_whole))
    }

    /// Returns the error for a Secret without the seal of this server.
    pub(super) fn unsealed(&self) -> String {
        self.foreign("was not written by this server")
    }

    fn foreign(&self, what: &str) -> String {
        format!(
            "Secret {}/{} {what}: delete it, and this server creates a new one",
            self.namespace, self.name
        )
    }

    /// Creates the Secret.
    pub(super) async fn create(&self, state: &State) -> Result<Written, String> {
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                ..ObjectMeta::default()
            },
            data: Some(self.data(state)?),
            ..Secret::default()
        };
        let created = write(self.api.create(&PostParams::default(), &secret)).await;
        created.map_err(|failure| self.trouble("create", failure))
    }

    /// Writes another state, if the Secret has not changed since it was read.
    pub(super) async fn replace(&self, read: Secret, state: &State) -> Result<Written, String> {
        let secret = Secret {
            data: Some(self.data(state)?),
            ..read
        };
        let params = PostParams::default();
        let replaced = write(self.api.replace(&self.name, &params, &secret)).await;
        replaced.map_err(|failure| self.trouble("update", failure))
    }

    fn data(&self, state: &State) -> Result<Data, String> {
        let text = serde_json::to_vec(&state.data()).map_err(|error| error.to_string())?;
        let sealed = self.keyring.seal_at(&self.place(), &text);
        let sealed = sealed.map_err(|error| error.to_string())?;
        let mut data = state.certificates();
        data.insert(STATE.to_owned(), ByteString(sealed));
        Ok(data)
    }

    /// The context that the seal is bound to. No record has the same one.
    fn place(&self) -> String {
        format!("serving {}/{}", self.namespace, self.name)
    }

    fn trouble(&self, verb: &str, failure: Failure) -> String {
        let (namespace, name) = (&self.namespace, &self.name);
        let text = format!("cannot {verb} Secret {namespace}/{name}");
        match failure {
            Failure::Forbidden(message) => format!(
                "{text}: {message}: grant the ServiceAccount get, list, watch, create and update on Secrets in namespace {namespace}"
            ),
            Failure::Other(message) => format!("{text}: {message}"),
        }
    }
}
