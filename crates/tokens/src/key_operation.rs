//! `keyoperations.ext.cattle.io`: operations of administrators on the keys of a running server.
//!
//! The kind is not stored: a create request is an operation, and the response is its result. So
//! operations are authenticated, authorized and logged like all requests. One replica performs an
//! operation for all: the others follow the store ([`KeyStore::follow`]).

use std::sync::Arc;

use api::ext::key_operation::{EncryptionKeyInfo, SigningKeyInfo, time};
use api::ext::{self, KeyAction, KeyOperation, KeyOperationStatus};
use apiserver::description::{Description, KindSchema, Scope, Verb};
use apiserver::request_context::RequestContext;
use apiserver::review::Review;
use async_trait::async_trait;
use jiff::Timestamp;
use machinery::field::{self, Path};
use machinery::meta::GroupKind;
use machinery::status::Status;
use storage::sealed::{Resealed, Sealed};

use signing::key_ring::{KeyRing, KeyState};
use signing::key_store::{KeyStore, KeyStoreError};
use signing::signing_key::SigningKey;

/// The key operations. A caller needs the right to create the kind.
pub struct KeyOperations {
    description: Description,
    keys: Arc<KeyStore>,
    sealed: Arc<Sealed>,
}

impl KeyOperations {
    /// Creates the resource for these signing keys and for the encryption keys of this store.
    pub fn new(keys: Arc<KeyStore>, sealed: Arc<Sealed>) -> Self {
        let description = Description {
            group: ext::GROUP,
            version: ext::VERSION,
            kind: KeyOperation::KIND,
            plural: KeyOperation::PLURAL,
            singular: KeyOperation::SINGULAR,
            short_names: &[],
            categories: &[],
            scope: Scope::Cluster,
            verbs: &[Verb::Create],
            subresources: &[],
            schema: KindSchema::of::<KeyOperation>(),
        };
        Self {
            description,
            keys,
            sealed,
        }
    }

    async fn list(&self, now: Timestamp) -> Result<KeyOperationStatus, Status> {
        let ring = self.keys.read(now).await.map_err(status_of)?;
        Ok(KeyOperationStatus {
            signing_keys: signing_keys(&ring, now),
            ..KeyOperationStatus::default()
        })
    }

    async fn perform(
        &self,
        action: KeyAction,
        now: Timestamp,
    ) -> Result<KeyOperationStatus, Status> {
        match action {
            KeyAction::List => self.list(now).await,
            KeyAction::Rotate => {
                self.keys.rotate_early(now).await.map_err(status_of)?;
                self.list(now).await
            }
            KeyAction::RevokeAll => {
                let revoked = self.keys.revoke_all(now).await.map_err(status_of)?;
                Ok(KeyOperationStatus {
                    revoked: Some(count(revoked)),
                    ..self.list(now).await?
                })
            }
            KeyAction::Reseal => {
                let resealed = self.sealed.reseal_all().await;
                resealed.map(resealed_status).map_err(|error| {
                    tracing::error!(%error, "the store cannot be encrypted again");
                    Status::service_unavailable("the store does not respond; try again", Some(1))
                })
            }
        }
    }
}

#[async_trait]
impl Review for KeyOperations {
    type Object = KeyOperation;

    fn description(&self) -> &Description {
        &self.description
    }

    fn changes_state(&self) -> bool {
        true
    }

    async fn dry_run(
        &self,
        cx: &RequestContext,
        operation: KeyOperation,
    ) -> Result<KeyOperation, Status> {
        action(&operation)?;
        let status = self.list(cx.clock.now()).await?;
        Ok(KeyOperation {
            status,
            ..operation
        })
    }

    async fn review(
        &self,
        cx: &RequestContext,
        operation: KeyOperation,
    ) -> Result<KeyOperation, Status> {
        let action = action(&operation)?;
        let status = self.perform(action, cx.clock.now()).await?;
        if action != KeyAction::List {
            let (user, audit_id) = (&cx.user.name, &*cx.audit_id);
            tracing::warn!(
                audit_id,
                ?user,
                action = action.name(),
                ?status,
                "keys were changed"
            );
        }
        Ok(KeyOperation {
            status,
            ..operation
        })
    }
}

fn action(operation: &KeyOperation) -> Result<KeyAction, Status> {
    let name = operation.spec.action.as_str();
    KeyAction::parse(name).ok_or_else(|| {
        let path = Path::root("spec").child("action");
        let error = match name {
            "" => field::Error::required(&path, format!("must be one of {}", names().join(", "))),
            _ => field::Error::not_supported(&path, name, &names()),
        };
        let kind = GroupKind::from_static(ext::GROUP, KeyOperation::KIND);
        Status::invalid(&kind, "", &[error])
    })
}

fn names() -> [&'static str; 4] {
    KeyAction::ALL.map(KeyAction::name)
}

fn signing_keys(ring: &KeyRing, now: Timestamp) -> Vec<SigningKeyInfo> {
    let info = |key: &SigningKey| SigningKeyInfo {
        kid: key.kid().to_string(),
        state: state(ring.state(key, now)).to_owned(),
        created: time(key.schedule().created),
        activates: time(key.schedule().activates),
        retires: time(key.schedule().retires),
        expires: time(key.schedule().expires),
    };
    ring.keys().map(info).collect()
}

fn state(state: KeyState) -> &'static str {
    match state {
        KeyState::Pending => "Pending",
        KeyState::Signing => "Signing",
        KeyState::Verifying => "Verifying",
        KeyState::Expired => "Expired",
    }
}

fn resealed_status(resealed: Resealed) -> KeyOperationStatus {
    let keys = resealed.keys.into_iter().map(|key| EncryptionKeyInfo {
        id: key.id,
        values: count(key.values),
        newest: key.is_newest,
    });
    KeyOperationStatus {
        resealed: Some(count(resealed.rewritten)),
        unreadable: Some(count(resealed.unreadable)),
        encryption_keys: keys.collect(),
        ..KeyOperationStatus::default()
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn status_of(error: KeyStoreError) -> Status {
    tracing::error!(
        error = &error as &dyn std::error::Error,
        "an operation on the signing keys failed"
    );
    Status::service_unavailable(
        "the signing keys cannot be read or written; old keys may still be valid: try again",
        Some(1),
    )
}
