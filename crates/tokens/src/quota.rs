//! The quota of each user: records, bytes and writes.
//!
//! | limit | applies to | rejected with |
//! |---|---|---|
//! | `kubeconfig-max-per-user` | stored kubeconfigs | 403 |
//! | `auth-token-max-per-user` | stored tokens, including those of kubeconfigs | 403 |
//! | `kubeconfig-max-bytes-per-user` | stored bytes of both | 403 |
//! | | bytes that the user writes in a minute | 429 |
//! | `kubeconfig-max-creates-per-minute` | creates, successful or not | 429 |
//!
//! The watch cache counts the stored records as they come and go, so a create takes the same time
//! however many there are. A create reserves what it will store until the cache shows it, so
//! parallel creates at one replica cannot exceed a limit together. Each replica has its own
//! reservations and rates. Records are attributed to the name of their owner.
//!
//! Administrators are exempt: callers who may update all records. The authorizer is asked only if a
//! request would otherwise be rejected.

mod account;
mod excess;

use std::sync::Arc;

use api::ext::{Kubeconfig, Token};
use apiserver::description::Verb;
use apiserver::registry::Registry;
use apiserver::request_context::RequestContext;
use apiserver::resource::{Update, Visibility, owner_visibility};
use machinery::status::Status;
use management::record_size::json_size;
use management::settings::{QuotaLimits, Settings};
use serde::Serialize;

use self::account::Accounts;
pub use self::account::{Demand, Reservation};
use self::excess::{Excess, Limit};
use crate::suspension::Suspension;

/// Number of bytes by which a record may grow when it is turned off, however much is stored: enough
/// for a condition and an entry of the managed fields. So a user above the limit can still turn
/// records off.
const SUSPENSION_BYTES: usize = 1024;

/// Tracks the records and the writes of users.
pub struct Quota {
    kubeconfigs: Registry<Kubeconfig>,
    tokens: Registry<Token>,
    settings: Settings,
    accounts: Arc<Accounts>,
}

/// An update of a record, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Growth<'a> {
    /// The owner of the record.
    pub owner: &'a str,
    /// The size of the stored record.
    pub before: usize,
    /// The size of the new state.
    pub after: usize,
    /// True if the update suspends or disables the record.
    pub turns_off: bool,
    /// True if the update is only checked and not stored.
    pub dry_run: bool,
}

impl<'a> Growth<'a> {
    /// Measures an update of a record. `change` states whether it turns the record off.
    pub fn of<T: Serialize>(update: &Update<'_, T>, change: &Suspension<'a>) -> Self {
        Self {
            owner: change.owner,
            before: json_size(update.live),
            after: json_size(update.object),
            turns_off: change.turns_off(),
            dry_run: update.dry_run,
        }
    }
}

impl Quota {
    /// Creates the quota of these records.
    pub fn new(
        kubeconfigs: Registry<Kubeconfig>,
        tokens: Registry<Token>,
        settings: Settings,
    ) -> Self {
        Self {
            kubeconfigs,
            tokens,
            settings,
            accounts: Arc::default(),
        }
    }

    /// Counts one create by the caller, even if the create then fails.
    ///
    /// # Errors
    /// 429, with the seconds until another create is possible; 500 if a setting or the authorizer
    /// fails.
    pub async fn count_create(&self, cx: &RequestContext) -> Result<(), Status> {
        let Some(limit) = self.settings.quota()?.creates_per_minute else {
            return Ok(());
        };
        match self.accounts.create(&cx.user.name, limit) {
            Ok(()) => Ok(()),
            Err(secs) if !is_exempt(cx).await? => {
                Err(excess::too_fast(Limit::CreatesPerMinute, limit, secs))
            }
            Err(_) => Ok(()),
        }
    }

    /// Reserves what a create by the caller will store. The reservation ends when it is dropped.
    ///
    /// # Errors
    /// 403 if it is more than the caller may have; 429 if the caller writes too fast; 500 if a
    /// setting or the authorizer fails.
    pub async fn reserve(
        &self,
        cx: &RequestContext,
        demand: Demand,
        dry_run: bool,
    ) -> Result<Reservation, Status> {
        let limits = self.settings.quota()?;
        let user = &cx.user.name;
        let stored = || self.stored(user);
        let reserved = self.accounts.reserve(user, demand, |held| {
            check(&limits, stored().plus(held), demand)
        });
        let reservation = match reserved {
            Ok(reservation) => reservation,
            Err(_) if is_exempt(cx).await? => return Ok(self.accounts.hold(user, demand)),
            Err(excess) => return Err(self.refuse(cx, user, excess)),
        };
        if !dry_run {
            self.count_bytes(cx, &limits, demand.bytes).await?;
        }
        Ok(reservation)
    }

    /// Checks and counts an update by the caller. An update that makes a record smaller is never
    /// rejected for the number of stored bytes. An update that only turns a record off is never
    /// rejected.
    ///
    /// # Errors
    /// The same as [`Quota::reserve`].
    pub async fn update(&self, cx: &RequestContext, growth: Growth<'_>) -> Result<(), Status> {
        let grown = growth.after.saturating_sub(growth.before);
        if growth.turns_off && grown <= SUSPENSION_BYTES {
            return Ok(());
        }
        let limits = self.settings.quota()?;
        let stored = self.stored(growth.owner);
        if let Some(limit) = limits.bytes
            && grown > 0
            && stored.bytes + grown > limit
            && !is_exempt(cx).await?
        {
            let excess = Excess {
                limit: Limit::Bytes,
                requested: grown,
                used: stored.bytes,
                limited: limit,
            };
            return Err(self.refuse(cx, growth.owner, excess));
        }
        match growth.dry_run {
            true => Ok(()),
            false => self.count_bytes(cx, &limits, growth.after).await,
        }
    }

    async fn count_bytes(
        &self,
        cx: &RequestContext,
        limits: &QuotaLimits,
        bytes: usize,
    ) -> Result<(), Status> {
        let Some(limit) = limits.bytes else {
            return Ok(());
        };
        match self.accounts.write(&cx.user.name, bytes, limit) {
            Ok(()) => Ok(()),
            Err(secs) if !is_exempt(cx).await? => {
                Err(excess::too_fast(Limit::BytesPerMinute, limit, secs))
            }
            Err(_) => Ok(()),
        }
    }

    /// Returns the usage of a user according to the cache.
    fn stored(&self, user: &str) -> Demand {
        let kubeconfigs = self.kubeconfigs.cache().view().usage(user);
        let tokens = self.tokens.cache().view().usage(user);
        Demand {
            kubeconfigs: kubeconfigs.objects,
            tokens: tokens.objects,
            bytes: kubeconfigs.bytes + tokens.bytes,
        }
    }

    /// Rejects a request of the caller for the records of `user`. For bytes, names the kind of
    /// which the user stores more.
    fn refuse(&self, cx: &RequestContext, user: &str, excess: Excess) -> Status {
        let of_tokens = self.tokens.cache().view().usage(user).bytes;
        let of_kubeconfigs = self.kubeconfigs.cache().view().usage(user).bytes;
        match excess.limit {
            Limit::Tokens => excess.refuse(cx, &self.tokens, user),
            Limit::Bytes if of_tokens > of_kubeconfigs => excess.refuse(cx, &self.tokens, user),
            _ => excess.refuse(cx, &self.kubeconfigs, user),
        }
    }
}

/// Returns whether no quota applies to the caller.
async fn is_exempt(cx: &RequestContext) -> Result<bool, Status> {
    let visibility = owner_visibility(cx, Verb::Update, "").await?;
    Ok(matches!(visibility, Visibility::Everything))
}

/// Compares what would be stored with the limits.
fn check(limits: &QuotaLimits, used: Demand, demand: Demand) -> Result<(), Excess> {
    let kinds = [
        (
            Limit::Kubeconfigs,
            limits.kubeconfigs,
            used.kubeconfigs,
            demand.kubeconfigs,
        ),
        (Limit::Tokens, limits.tokens, used.tokens, demand.tokens),
        (Limit::Bytes, limits.bytes, used.bytes, demand.bytes),
    ];
    for (limit, limited, used, requested) in kinds {
        if let Some(limited) = limited
            && requested > 0
            && used + requested > limited
        {
            return Err(Excess {
                limit,
                requested,
                used,
                limited,
            });
        }
    }
    Ok(())
}
