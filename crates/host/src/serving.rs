//! The serving certificate that replicas manage themselves, and the CA bundle that the host trusts.
//!
//! One Secret holds the state that all replicas share: a CA, the certificate that it signed and,
//! during a rotation, the previous or the next CA. The first replica creates the Secret, and the
//! first one to notice that a change is due makes it. Each change is one compare-and-swap, so there
//! is no leader: a replica that loses reads the winner's result. The APIService is kept equal to
//! the bundle of all CAs in the Secret.
//!
//! The host trusts the certificate throughout a rotation, since each step waits for the effect of
//! the previous one:
//!
//! ```text
//!   Secret                        bundle in the APIService     served
//!   CA 1                          1                            leaf of 1
//!   CA 1, next CA 2               1 + 2                        leaf of 1    announced
//!   previous CA 1, CA 2           1 + 2                        leaf of 2    after bundle held 2
//!   CA 2                          2                            leaf of 2    after leaf 1 expired
//! ```
//!
//! A pass reads first the APIService and then the Secret, both from the host rather than from a
//! cache. It writes the APIService only in the version that was read. So a slow replica cannot
//! revert what another one has written.
//!
//! The contents of the Secret are sealed: see `secret`.
//!
//! The APIService is not required. If it does not exist or belongs to another server, certificates
//! are still issued and renewed, and [`Serving::trouble`] reports it.

pub(crate) mod call;
mod changes;
mod registration;
mod rotation;
mod secret;
mod state;

use std::sync::Arc;

use certificates::{Certificate, Names, Pair};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use machinery::time::Clock;
use parking_lot::{Mutex, MutexGuard};
use storage::sealed::Keyring;
use tokio::sync::watch;

use changes::Seen;
use registration::{Registration, Registrations};
use secret::{Secrets, Stored};
use state::State;

use crate::sealing::Sealing;

/// Time that a new CA must have been in the APIService before a certificate signed by it is served.
/// Each kube-apiserver of the host follows that object independently.
const TRUST_SETTLES: SignedDuration = SignedDuration::from_mins(10);

/// The name of the serving Secret in the register of [`Sealing`].
const REGISTERED: &str = "serving";

/// Maximum number of attempts of a pass. A replica that loses a compare-and-swap retries at once,
/// but after that waits for the next change.
const ATTEMPTS: usize = 3;

/// The location and the names of the certificate.
#[derive(Clone, Debug)]
pub struct ServingOptions {
    /// The namespace of the server.
    pub namespace: String,
    /// The Service through which the host connects to the server. The Secret is
    /// `<service>-serving`.
    pub service: String,
    /// Further Services of the same namespace that lead to the server.
    pub other_services: Vec<String>,
    /// External hosts of the server, in the form of a URL's host.
    pub external_hosts: Vec<String>,
    /// The APIService whose CA bundle is kept.
    pub api_service: String,
}

/// The keys and the register that identify a Secret as this server's own.
pub struct ServingSeal {
    /// The keys.
    pub keyring: Arc<Keyring>,
    /// The register. Once it lists the Secret as sealed, an unsealed Secret is rejected.
    pub sealing: Sealing,
}

/// The certificate that is currently served, and its CAs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The certificate and its key.
    pub pair: Pair,
    /// The CAs by which clients should trust it, now and through the next rotation, as PEM.
    pub bundle: String,
}

/// The serving certificate of one replica.
pub struct Serving {
    secrets: Secrets,
    sealing: Sealing,
    registrations: Registrations,
    clock: Arc<dyn Clock>,
    names: Names,
    served: watch::Sender<Option<Served>>,
    trouble: watch::Sender<Option<String>>,
    memory: Mutex<Memory>,
}

/// The memory of a replica between passes.
#[derive(Default)]
struct Memory {
    /// The last valid state of the Secret.
    state: Option<State>,
    /// True if the register lists the Secret as sealed.
    registered: bool,
    /// The next CA, and the time since which every pass has found it in the APIService.
    announced: Option<(Certificate, Timestamp)>,
}

impl Serving {
    /// Creates the manager of a certificate. No request is sent to the host yet.
    #[must_use]
    pub fn new(
        client: Client,
        clock: Arc<dyn Clock>,
        options: &ServingOptions,
        seal: ServingSeal,
    ) -> Self {
        Self {
            secrets: Secrets::new(client.clone(), options, seal.keyring),
            sealing: seal.sealing,
            registrations: Registrations::new(client, options),
            clock,
            names: names(options),
            served: watch::Sender::new(None),
            trouble: watch::Sender::new(None),
            memory: Mutex::default(),
        }
    }

    /// Returns the certificate to serve. It is `None` only until the Secret was read or created.
    #[must_use]
    pub fn served(&self) -> watch::Receiver<Option<Served>> {
        self.served.subscribe()
    }

    /// Returns, for administrators, the problems of the last pass.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.borrow().clone()
    }

    /// Keeps Secret and APIService up to date until it is dropped. It may be dropped at any time: a
    /// later pass of any replica completes what was started.
    pub async fn run(&self) {
        loop {
            let seen = self.pass().await;
            seen.changed(&self.secrets, &self.registrations).await;
        }
    }

    /// Runs one pass: reads Secret and APIService and makes the changes that are due.
    pub async fn reconcile(&self) {
        self.pass().await;
    }

    async fn pass(&self) -> Seen {
        let mut seen = self.look().await;
        for _ in 1..ATTEMPTS {
            if !seen.outrun {
                break;
            }
            seen = self.look().await;
        }
        self.tell((!seen.troubles.is_empty()).then(|| seen.troubles.join("; ")));
        seen
    }

    async fn look(&self) -> Seen {
        let mut seen = Seen::default();
        let registration = match self.registrations.read().await {
            Ok((registration, version)) => {
                seen.registration = Some(version);
                Some(registration)
            }
            Err(trouble) => {
                seen.troubles.push(trouble);
                None
            }
        };
        match self.state(registration.as_ref(), &mut seen).await {
            Ok(Some(state)) => {
                let bundle = state.bundle();
                self.publish(&state, &bundle);
                if let Some(registration) = registration {
                    let kept = self.registrations.keep(registration, &bundle).await;
                    seen.note(kept);
                }
                self.memory().state = Some(state);
            }
            Ok(None) => {}
            Err(trouble) => seen.troubles.push(trouble),
        }
        seen
    }

    /// Returns the state of the Secret after all due changes. Returns `None` if another replica was
    /// faster.
    async fn state(
        &self,
        registration: Option<&Registration>,
        seen: &mut Seen,
    ) -> Result<Option<State>, String> {
        let (stored, version) = self.secrets.read().await?;
        seen.secret = Some(version);
        let now = self.clock.now();
        let Some(stored) = stored else {
            let state = self.beginning(now)?;
            let created = self.secrets.create(&state).await;
            return Ok(seen.note(created).then_some(state));
        };
        let (state, is_whole) = self.ours(&stored).await?;
        let trusted = self.trusted(&state, registration, now);
        let due = rotation::due(&state, &self.names, trusted, now)?;
        if due.is_none() && is_whole {
            self.register().await?;
            return Ok(Some(state));
        }
        let state = due.unwrap_or(state);
        let replaced = self.secrets.replace(stored, &state).await;
        Ok(seen.note(replaced).then_some(state))
    }

    /// Returns the state in a Secret of this server, and whether the Secret is up to date. An
    /// unsealed Secret of an earlier version is adopted once. If another writer has replaced the
    /// Secret, the remembered state is dropped, too, since that writer may have read it.
    async fn ours(&self, stored: &Secret) -> Result<(State, bool), String> {
        match self.secrets.parse(stored) {
            Ok(Stored::Sealed(state, is_whole)) => Ok((state, is_whole)),
            Ok(Stored::Plain(state)) if !self.is_registered().await? => Ok((state, false)),
            Ok(Stored::Plain(_)) => {
                self.memory().state = None;
                Err(self.secrets.unsealed())
            }
            Err(trouble) => {
                self.memory().state = None;
                Err(trouble)
            }
        }
    }

    async fn is_registered(&self) -> Result<bool, String> {
        if self.memory().registered {
            return Ok(true);
        }
        let sealed = self.sealing.is_sealed(REGISTERED).await;
        sealed.map_err(|error| error.to_string())
    }

    async fn register(&self) -> Result<(), String> {
        if self.memory().registered {
            return Ok(());
        }
        let marked = self.sealing.mark_sealed(REGISTERED).await;
        marked.map_err(|error| error.to_string())?;
        self.memory().registered = true;
        Ok(())
    }

    /// Returns the state for a Secret that does not exist. If it was deleted, that is the
    /// remembered state, so that clients continue to trust the certificate. Otherwise it is a new
    /// CA, also if another writer had replaced the Secret.
    fn beginning(&self, now: Timestamp) -> Result<State, String> {
        match self.memory().state.clone() {
            Some(state) => Ok(state),
            None => rotation::beginning(&self.names, now),
        }
    }

    /// Returns whether the host can be assumed to trust the next CA.
    fn trusted(&self, state: &State, registration: Option<&Registration>, now: Timestamp) -> bool {
        let next = state.next.as_ref().map(|next| next.certificate().clone());
        let seen = next.filter(|next| registration.is_some_and(|there| there.trusts(next)));
        let mut memory = self.memory();
        memory.announced = seen.map(|next| match memory.announced.take() {
            Some((known, since)) if known == next => (known, since),
            _ => (next, now),
        });
        let since = memory.announced.as_ref().map(|(_, since)| *since);
        since.is_some_and(|since| now.duration_since(since) >= TRUST_SETTLES)
    }

    fn publish(&self, state: &State, bundle: &str) {
        let now = Served {
            pair: state.pair.clone(),
            bundle: bundle.to_owned(),
        };
        let changed = self.served.send_if_modified(|served| {
            let changed = served.as_ref() != Some(&now);
            *served = Some(now);
            changed
        });
        if changed {
            tracing::info!(
                not_after = %state.leaf.validity.not_after,
                authority = state.ca.certificate().subject,
                "using a serving certificate"
            );
        }
    }

    fn tell(&self, trouble: Option<String>) {
        self.trouble.send_if_modified(|told| {
            let changed = *told != trouble;
            match &trouble {
                Some(trouble) if changed => {
                    tracing::error!(trouble, "the serving certificate has a problem");
                }
                None if changed => {
                    tracing::info!("the problem with the serving certificate is resolved")
                }
                _ => {}
            }
            *told = trouble;
            changed
        });
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock()
    }
}

/// Returns the names of the Services inside the cluster, the first of which the host uses, and the
/// external hosts.
fn names(options: &ServingOptions) -> Names {
    let mut names = Names::default();
    let namespace = &options.namespace;
    for service in std::iter::once(&options.service).chain(&options.other_services) {
        names.add(&format!("{service}.{namespace}.svc"));
        names.add(&format!("{service}.{namespace}"));
        names.add(service);
    }
    for host in &options.external_hosts {
        names.add(host);
    }
    names
}
