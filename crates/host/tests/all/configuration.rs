//! The ConfigMap of the host is followed.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use auth::UserInfo;
use auth::client_certificate::bundle_from_pem;
use host::delegation::{AuthenticationConfiguration, Options};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::callers::{self, Caller, is, is_refused, until};
use crate::fixture::Host;

const NAME: &str = "extension-apiserver-authentication";
const CA: &str = "requestheader-client-ca-file";
const USERNAMES: &str = "requestheader-username-headers";

/// A host, and the configuration that is followed there.
struct Followed {
    host: Host,
    configuration: Arc<AuthenticationConfiguration>,
    config_maps: Api<ConfigMap>,
    _stop: DropGuard,
}

impl Followed {
    async fn start() -> Self {
        let host = Host::start(&[]).await;
        let stop = CancellationToken::new();
        let options = Options {
            allow_empty_front_proxy_names: false,
            clock: callers::clock(),
        };
        let configuration =
            AuthenticationConfiguration::wait(host.client.clone(), options, &stop).await;
        let configuration = configuration.unwrap();
        tokio::spawn(Arc::clone(&configuration).run(stop.clone()));
        Self {
            config_maps: Api::namespaced(host.client.clone(), "kube-system"),
            host,
            configuration,
            _stop: stop.drop_guard(),
        }
    }

    /// Returns kube-apiserver itself as the caller, which forwards a request of alice.
    fn front_proxy(&self) -> Caller {
        let file = self.host.cluster.folder().join("front-proxy-client.crt");
        alice_by(&fs::read_to_string(file).unwrap())
    }

    async fn value(&self, key: &str) -> String {
        let config_map = self.config_maps.get(NAME).await.unwrap();
        config_map.data.unwrap()[key].clone()
    }

    async fn set(&self, key: &str, value: &str) {
        let patch = Patch::Merge(json!({ "data": { key: value } }));
        let params = PatchParams::default();
        let patched = self.config_maps.patch(NAME, &params, &patch);
        patched.await.unwrap();
    }
}

fn alice_by(certificate: &str) -> Caller {
    Caller::with_certificate(certificate).naming(&[
        ("x-remote-user", "alice"),
        ("x-remote-group", "dev"),
        ("x-remote-uid", "u-1"),
    ])
}

fn alice() -> UserInfo {
    UserInfo {
        uid: "u-1".to_owned(),
        groups: vec!["dev".to_owned()],
        ..UserInfo::named("alice")
    }
}

/// Creates a CA that the host does not know and the certificate of a front proxy, as PEM.
fn another_front_proxy() -> (String, String) {
    let params = |name| {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let mut ca = params("another-front-proxy-ca");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let proxy = params("front-proxy-client").signed_by(&key, &ca).unwrap();
    (ca.pem(), proxy.pem())
}

/// Requests of one caller, one after another, until stopped.
struct Load {
    ended: Arc<AtomicBool>,
    refused: Arc<AtomicUsize>,
    running: JoinHandle<usize>,
}

impl Load {
    fn start(followed: &Followed, caller: Caller) -> Self {
        let (ended, refused) = <(Arc<AtomicBool>, Arc<AtomicUsize>)>::default();
        let front_proxy = followed.configuration.front_proxy();
        let running = tokio::spawn({
            let (ended, refused) = (Arc::clone(&ended), Arc::clone(&refused));
            async move {
                let mut sent = 0;
                while !ended.load(Ordering::Relaxed) {
                    if caller.ask(&*front_proxy).await != is(alice()) {
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                    sent += 1;
                    tokio::task::yield_now().await;
                }
                sent
            }
        });
        Self {
            ended,
            refused,
            running,
        }
    }

    /// Stops, and returns the number of rejected requests. Checks that some were sent.
    async fn end(self) -> usize {
        self.ended.store(true, Ordering::Relaxed);
        assert!(self.running.await.unwrap() > 0);
        self.refused.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn authorities_come_and_go_without_a_refused_request() {
    let followed = Followed::start().await;
    let front_proxy = followed.configuration.front_proxy();
    let by_certificate = followed.configuration.client_certificates();
    let issuers = followed.configuration.client_issuers();

    let bob = followed
        .host
        .cluster
        .client_certificate("bob", None)
        .unwrap();
    let mut bob = Caller::with_certificate(&bob.certificate);
    let known = |outcome| matches!(outcome, auth::Authentication::Authenticated(user) if user.name == "bob");
    assert!(known(bob.ask(&*by_certificate).await));
    bob = bob.naming(&[("x-remote-user", "alice")]);
    assert!(is_refused(&bob.ask(&*front_proxy).await));
    assert!(known(bob.ask(&*by_certificate).await));
    let proxy = followed.front_proxy();
    assert_eq!(proxy.ask(&*front_proxy).await, is(alice()));
    assert!(is_refused(&proxy.ask(&*by_certificate).await));

    let load = Load::start(&followed, proxy);
    let (other_ca, other) = another_front_proxy();
    let other = alice_by(&other);
    assert!(is_refused(&other.ask(&*front_proxy).await));
    assert_eq!(issuers.borrow().len(), 2);
    let own_ca = followed.value(CA).await;
    for _ in 0..3 {
        followed.set(CA, &format!("{own_ca}{other_ca}")).await;
        until("the new CA counts", async || {
            other.ask(&*front_proxy).await == is(alice())
        })
        .await;
        until("TLS asks for it", async || issuers.borrow().len() == 3).await;
        followed.set(CA, &own_ca).await;
        until("the former CA is refused", async || {
            is_refused(&other.ask(&*front_proxy).await)
        })
        .await;
    }
    assert_eq!(load.end().await, 0);
    assert_eq!(followed.configuration.trouble(), None);
    assert_eq!(bundle_from_pem(own_ca.as_bytes()).unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_keeps_the_last_good_state_and_is_told_until_it_is_mended() {
    let mut followed = Followed::start().await;
    let front_proxy = followed.configuration.front_proxy();
    let proxy = followed.front_proxy();
    let load = Load::start(&followed, proxy.clone());
    let good = followed.value(USERNAMES).await;

    followed.set(USERNAMES, "x").await;
    until("the damage is told", async || {
        let trouble = followed.configuration.trouble();
        trouble.is_some_and(|trouble| trouble.contains("requestheader-username-headers"))
    })
    .await;
    followed.set(USERNAMES, &good).await;
    until("the damage is mended", async || {
        followed.configuration.trouble().is_none()
    })
    .await;

    followed.host.cluster.stop_apiserver();
    until("the host is missed", async || {
        followed.configuration.trouble().is_some()
    })
    .await;
    assert_eq!(proxy.ask(&*front_proxy).await, is(alice()));
    let options = test_cluster::Options::default();
    tokio::task::block_in_place(|| followed.host.cluster.restart_apiserver(&options)).unwrap();
    until("the host is followed again", async || {
        followed.configuration.trouble().is_none()
    })
    .await;
    let (other_ca, other) = another_front_proxy();
    let own_ca = followed.value(CA).await;
    followed.set(CA, &format!("{own_ca}{other_ca}")).await;
    until("changes count again", async || {
        alice_by(&other).ask(&*front_proxy).await == is(alice())
    })
    .await;
    assert_eq!(load.end().await, 0);
}
