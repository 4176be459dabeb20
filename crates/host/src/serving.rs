//! The serving certificate that replicas manage themselves, and what the host trusts it by.
//!
//! One Secret holds the state that all replicas share: a CA, what it signed, and in times of change the
//! CA before it or the one after it. Whoever comes first makes it, and whoever finds that something is
//! due does it; each change is one compare-and-swap, so there is no leader, and who loses reads what
//! the winner did. The APIService is kept equal to the bundle of all CAs in the Secret.
//!
//! The host distrusts us at no moment of a rotation, since each of its steps waits for what the one
//! before it must have brought about:
//!
//! ```text
//!   Secret                        bundle in the APIService     served
//!   CA 1                          1                            leaf of 1
//!   CA 1, next CA 2               1 + 2                        leaf of 1    announced
//!   previous CA 1, CA 2           1 + 2                        leaf of 2    once the bundle was seen to hold 2
//!   CA 2                          2                            leaf of 2    once the last leaf of 1 is over
//! ```
//!
//! A pass reads the APIService first and the Secret after it, both as they are and not as a cache has
//! them, and writes the APIService only in the version that was read. So nobody who is late can take
//! back what another one has put into it.
//!
//! The contents of the Secret are sealed: see `secret`.
//!
//! Nothing here needs the APIService: without it, or where it is somebody else's, certificates are made
//! and renewed all the same, and [`Serving::trouble`] says what is wrong.

pub(crate) mod call;
mod changes;
mod registration;
mod rotation;
mod secret;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use certificates::{Certificate, Names, Pair};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use machinery::time::Clock;
use storage::sealed::Keyring;
use tokio::sync::watch;

use changes::Seen;
use registration::{Registration, Registrations};
use secret::{Secrets, Stored};
use state::State;

use crate::sealing::Sealing;

/// How long the host must have had a new CA in the APIService before anything signed by it is served:
/// each kube-apiserver of the host follows that object by itself.
const TRUST_SETTLES: SignedDuration = SignedDuration::from_mins(10);

/// The Secret, as the register of [`Sealing`] names it.
const REGISTERED: &str = "serving";

/// Who loses a compare-and-swap looks again at once, but then rather waits for the next change.
const ATTEMPTS: usize = 3;

/// Where the certificate is kept and what it is for.
#[derive(Clone, Debug)]
pub struct ServingOptions {
    /// The namespace of the server.
    pub namespace: String,
    /// The Service that the host reaches it by. The Secret is `<service>-serving`.
    pub service: String,
    /// Further Services, of the same namespace, that lead to it.
    pub other_services: Vec<String>,
    /// Hosts by which others reach it, as they stand in URLs.
    pub external_hosts: Vec<String>,
    /// The APIService whose CA bundle is kept.
    pub api_service: String,
}

/// The marks by which a Secret of this server differs from those of others.
pub struct ServingSeal {
    /// The key.
    pub keyring: Arc<Keyring>,
    /// The register that says that a Secret without a seal is not ours any more.
    pub sealing: Sealing,
}

/// What is served now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The certificate and its key.
    pub pair: Pair,
    /// The CAs by which clients should trust it, now and through the next rotation, PEM.
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

/// What one pass leaves to the next.
#[derive(Default)]
struct Memory {
    /// The state last seen in the Secret, if that was ours.
    state: Option<State>,
    /// Whether the register says that the Secret is sealed.
    registered: bool,
    /// The next CA, and since when it has been seen in the APIService at every look.
    announced: Option<(Certificate, Timestamp)>,
}

impl Serving {
    /// Nothing is asked of the host yet.
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

    /// What to serve: nothing until the Secret was read or made, and then always something.
    #[must_use]
    pub fn served(&self) -> watch::Receiver<Option<Served>> {
        self.served.subscribe()
    }

    /// What is wrong, in words for an administrator, as of the last pass.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.borrow().clone()
    }

    /// Keeps Secret and APIService as they should be, for as long as it is polled. It may be dropped at
    /// any time: what was begun is finished by another pass, of any replica.
    pub async fn run(&self) {
        loop {
            let seen = self.pass().await;
            seen.changed(&self.secrets, &self.registrations).await;
        }
    }

    /// Looks once at Secret and APIService and does what is due.
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

    /// What the Secret holds, after all that is due has been done to it; nothing where somebody else was
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

    /// The state in a Secret of this server, and whether nothing in the Secret has to be written again.
    /// One without a seal is taken over once, from a version without seals. What others put there is
    /// forgotten with all before it: they may have read that, too.
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

    /// What a Secret that is not there is made with: where it was deleted beneath us, what it held, so
    /// that those who trust us go on doing so; a new CA where somebody else had written it.
    fn beginning(&self, now: Timestamp) -> Result<State, String> {
        match self.memory().state.clone() {
            Some(state) => Ok(state),
            None => rotation::beginning(&self.names, now),
        }
    }

    /// Whether the host can be taken to trust the next CA.
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
                "a serving certificate is in use"
            );
        }
    }

    fn tell(&self, trouble: Option<String>) {
        self.trouble.send_if_modified(|told| {
            let changed = *told != trouble;
            match &trouble {
                Some(trouble) if changed => {
                    tracing::error!(trouble, "the serving certificate is in trouble");
                }
                None if changed => tracing::info!("the serving certificate is well again"),
                _ => {}
            }
            *told = trouble;
            changed
        });
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The names by which a Service is reached inside a cluster, the first of them by the host, and those
/// by which it is reached from outside.
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
