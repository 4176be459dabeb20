//! Removes the records of tokens that can never count again: expired ones, and orphans of kubeconfigs.
//!
//! Sweeping is tidying, never security: such tokens are refused whether their records lie there or not. Any number of replicas may do it.

use std::sync::Arc;
use std::time::Duration;

use api::ext::{Kubeconfig, Token};
use apiserver::registry::Registry;
use jiff::{SignedDuration, Timestamp};
use machinery::meta::Metadata;
use machinery::time::Clock;
use tokio::task::consume_budget;
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;

use crate::minter::Minter;
use crate::steady_time::SteadyTime;

/// How often the sweeper looks.
const PERIOD: Duration = Duration::from_secs(60);

/// A token may be this old before a missing kubeconfig means that it is an orphan: the two are written one after the other.
const GRACE: SignedDuration = SignedDuration::from_secs(300);

/// Removes what can never count again.
pub struct Sweeper {
    /// The records.
    pub tokens: Registry<Token>,
    /// What owns them.
    pub kubeconfigs: Registry<Kubeconfig>,
    /// Removes them.
    pub minter: Arc<Minter>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Sweeper {
    /// Sweeps now and then until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        // Not at once: a server that starts has better to do.
        let mut look = interval_at(Instant::now() + PERIOD, PERIOD);
        let steady = SteadyTime::new(self.clock.now());
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = look.tick() => {}
            }
            if steady.observe(self.clock.now()) {
                self.sweep().await;
            }
        }
    }

    /// Removes what is due now.
    pub async fn sweep(&self) {
        let now = self.clock.now();
        let view = self.tokens.collection().view();
        for (_, object) in view.iter() {
            // Others get their turn, about each millisecond.
            consume_budget().await;
            // What cannot be decoded counts for nothing, and is left for an administrator to see.
            let Ok(token) = self.tokens.decode_facts(object) else {
                continue;
            };
            if !self.is_rubbish(&token, now) {
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

    fn is_rubbish(&self, token: &Token, now: Timestamp) -> bool {
        let owner = &token.spec.kubeconfig_name;
        let created = token
            .metadata()
            .creation_timestamp
            .as_ref()
            .map_or(now, |time| time.0);
        let orphan = !owner.is_empty()
            && !self.kubeconfigs.contains(("", owner))
            && now.duration_since(created) > GRACE;
        token.is_expired(now) || orphan
    }
}
