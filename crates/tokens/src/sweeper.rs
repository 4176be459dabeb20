//! Removal of records that can never be valid again: expired tokens, tokens without their
//! kubeconfig, records of deleted users, and records whose parent token is gone.
//!
//! Sweeping is only cleanup and not needed for security: such tokens are rejected whether their
//! records exist or not. Any number of replicas may sweep.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use api::ext::{Kubeconfig, Token, TokenReference};
use api::management::User;
use apiserver::registry::{Registry, WriteError, revision_of};
use jiff::{SignedDuration, Timestamp};
use machinery::meta::{Metadata, ObjectKey, Time};
use machinery::time::Clock;
use signing::steady_time::SteadyTime;
use tokio::task::consume_budget;
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;

use crate::minter::Minter;
use crate::validity::Confirmed;

/// Time between two sweeps.
const PERIOD: Duration = Duration::from_secs(60);

/// Minimum age of a token before a missing kubeconfig or parent makes it an orphan: records that
/// belong together are written one after the other.
const GRACE: SignedDuration = SignedDuration::from_secs(300);

/// Time for which expired tokens are kept. It shows their owners that they have expired, and a
/// clock that is ahead by less than this removes nothing.
const EXPIRED: SignedDuration = SignedDuration::from_hours(24);

/// Maximum age of the newest record at a start for which the time of day is trusted at once.
const NEWEST: SignedDuration = SignedDuration::from_hours(24);

/// Removes records that can never be valid again.
pub struct Sweeper {
    /// The records of tokens.
    pub tokens: Registry<Token>,
    /// The records of kubeconfigs.
    pub kubeconfigs: Registry<Kubeconfig>,
    /// The users of both.
    pub users: Registry<User>,
    /// Removes tokens.
    pub minter: Arc<Minter>,
    /// Returns whether the users in memory are reliable.
    pub confirmed: Confirmed,
    /// The source of the current time.
    pub clock: Arc<dyn Clock>,
}

/// The users that were missing in the last sweep, by uid. A user that is missing in two consecutive
/// sweeps was deleted. In the first sweep, all users may be missing from memory without this being
/// known yet.
#[derive(Debug, Default)]
pub struct Missing(HashSet<String>);

/// The state that the records of one sweep are compared with.
struct Look {
    now: Timestamp,
    /// The uids of all users, or `None` while they are not reliable.
    users: Option<HashSet<String>>,
    /// The users that were missing in the last sweep.
    missing_before: HashSet<String>,
    missing: HashSet<String>,
}

/// The part of a record that determines whether it lost an object that it depends on.
struct Origin<'a> {
    user_uid: Option<&'a String>,
    parent: Option<&'a TokenReference>,
    created: Timestamp,
}

impl Sweeper {
    /// Sweeps periodically until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        // The first sweep is delayed so that it does not compete with the start of the server.
        let mut look = interval_at(Instant::now() + PERIOD, PERIOD);
        let started = self.clock.now();
        let steady = SteadyTime::new(started);
        if !self.confirms(started) {
            tracing::info!(
                "no record is from the last day: expired objects are not removed for one day"
            );
            steady.distrust();
        }
        let mut missing = Missing::default();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = look.tick() => {}
            }
            if steady.observe(self.clock.now()) {
                self.sweep(&mut missing).await;
            }
        }
    }

    /// Returns whether a token was created close to this time of day, so that the clock is not far
    /// ahead. Returns true if there are no tokens, because there is nothing to lose.
    fn confirms(&self, now: Timestamp) -> bool {
        let view = self.tokens.cache().view();
        let mut tokens = view.iter().peekable();
        let is_recent = |object: &_| {
            let token = self.tokens.decode_facts(object);
            token.is_ok_and(|token| now.duration_since(created(&token, now)).abs() <= NEWEST)
        };
        tokens.peek().is_none() || tokens.any(|(_, object)| is_recent(object))
    }

    /// Removes the records that are due now.
    pub async fn sweep(&self, missing: &mut Missing) {
        let mut look = Look {
            now: self.clock.now(),
            users: (self.confirmed)().then(|| self.user_uids()),
            missing_before: std::mem::take(&mut missing.0),
            missing: HashSet::new(),
        };
        self.sweep_tokens(&mut look).await;
        self.sweep_kubeconfigs(&mut look).await;
        missing.0 = look.missing;
    }

    async fn sweep_tokens(&self, look: &mut Look) {
        let view = self.tokens.cache().view();
        for (_, object) in view.iter() {
            // Yields to other tasks about once per millisecond.
            consume_budget().await;
            // A record that cannot be decoded is not valid. It is kept so that an administrator can
            // inspect it.
            let Ok(token) = self.tokens.decode_facts(object) else {
                continue;
            };
            if !self.is_rubbish(&token, look) {
                continue;
            }
            let name = token.metadata().name.clone().unwrap_or_default();
            match self.minter.revoke(&name).await {
                Ok(()) => tracing::info!(token = name, "a token record was swept"),
                Err(error) => {
                    tracing::warn!(token = name, %error, "a token record cannot be swept")
                }
            }
        }
    }

    /// Sweeps kubeconfigs that lost their user or parent token. The garbage collector removes the
    /// others together with their tokens, which own them.
    async fn sweep_kubeconfigs(&self, look: &mut Look) {
        let view = self.kubeconfigs.cache().view();
        for (_, object) in view.iter() {
            consume_budget().await;
            let Ok(record) = self.kubeconfigs.decode(object) else {
                continue;
            };
            let origin = Origin {
                user_uid: record.status.user_uid.as_ref(),
                parent: record.status.parent_token.as_ref(),
                created: created(&record, look.now),
            };
            if !self.is_lost(&origin, look) {
                continue;
            }
            let name = record.metadata().name.clone().unwrap_or_default();
            match self.remove(record, look.now).await {
                Ok(()) => tracing::info!(kubeconfig = name, "a kubeconfig was swept"),
                Err(WriteError::Status(error)) => {
                    tracing::warn!(kubeconfig = name, %error, "a kubeconfig cannot be swept")
                }
                // The record has changed in the meantime: the next sweep decides.
                Err(WriteError::Conflict) => {}
            }
        }
    }

    /// Removes a kubeconfig, or marks it for deletion if it has finalizers.
    async fn remove(&self, mut record: Kubeconfig, now: Timestamp) -> Result<(), WriteError> {
        let finalizers = record.metadata.finalizers.as_deref();
        if finalizers.is_none_or(<[_]>::is_empty) {
            return self
                .kubeconfigs
                .store()
                .remove_as_read(&record)
                .await
                .map(drop);
        }
        if record.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        let revision = revision_of(&record)?;
        record.metadata.deletion_timestamp = Some(Time(now));
        self.kubeconfigs
            .store()
            .replace(record, revision)
            .await
            .map(drop)
    }

    fn user_uids(&self) -> HashSet<String> {
        let users = self.users.cache().all().into_iter();
        users.filter_map(|user| user.metadata.uid).collect()
    }

    fn is_rubbish(&self, token: &Token, look: &mut Look) -> bool {
        let owner = &token.spec.kubeconfig_name;
        let origin = Origin {
            user_uid: token.status.user_uid.as_ref(),
            parent: token.status.parent_token.as_ref(),
            created: created(token, look.now),
        };
        let orphan = !owner.is_empty()
            && !self.kubeconfigs.cache().contains(ObjectKey::cluster(owner))
            && look.is_settled(&origin);
        token.is_expired(look.now - EXPIRED) || orphan || self.is_lost(&origin, look)
    }

    /// Returns whether the user of a record, or the token that it was created with, was deleted.
    fn is_lost(&self, origin: &Origin<'_>, look: &mut Look) -> bool {
        let parent = origin.parent.is_some_and(|parent| {
            let uid = self
                .tokens
                .cache()
                .derived(ObjectKey::cluster(&parent.name), |token| {
                    token.metadata.uid.clone()
                });
            let is_there = uid.is_some_and(|uid| uid.as_deref() == Some(parent.uid.as_str()));
            !is_there && look.is_settled(origin)
        });
        parent
            || origin
                .user_uid
                .is_some_and(|uid| !uid.is_empty() && look.is_gone(uid))
    }
}

impl Look {
    fn is_settled(&self, origin: &Origin<'_>) -> bool {
        self.now.duration_since(origin.created) > GRACE
    }

    fn is_gone(&mut self, uid: &str) -> bool {
        let Some(users) = &self.users else {
            return false;
        };
        if users.contains(uid) {
            return false;
        }
        self.missing.insert(uid.to_owned());
        self.missing_before.contains(uid)
    }
}

fn created(object: &impl Metadata<Ty = machinery::meta::ObjectMeta>, now: Timestamp) -> Timestamp {
    let created = object.metadata().creation_timestamp.as_ref();
    created.map_or(now, |time| time.0)
}
