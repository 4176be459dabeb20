//! Tokens and permissions are those of the host.

use std::sync::Arc;
use std::time::Duration;

use auth::delegated::{DelegatedAuthenticator, DelegatedAuthorizer};
use auth::{Attributes, Authentication, Authorizer, Decision, UserInfo};
use host::delegation::HostReviews;
use jiff::SignedDuration;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use machinery::label_selector::LabelSelector;
use machinery::testing::ManualClock;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::callers::{self, Caller, is_refused, until};
use crate::fixture::Host;

const KEY: [u8; 32] = [7; 32];

/// The authentication and authorization of a server behind the host.
struct Behind {
    callers: DelegatedAuthenticator,
    permissions: DelegatedAuthorizer,
    clock: Arc<ManualClock>,
}

impl Behind {
    fn new(host: &Host) -> Self {
        let clock = callers::clock();
        let reviews = Arc::new(HostReviews::new(host.client.clone()));
        let callers = DelegatedAuthenticator::new(Arc::clone(&reviews) as _, &KEY, clock.clone());
        Self {
            callers,
            permissions: DelegatedAuthorizer::new(reviews, &KEY, clock.clone()),
            clock,
        }
    }

    /// Returns the user of a token, if the host knows it.
    async fn name_of(&self, token: &str) -> Option<UserInfo> {
        match Caller::with_token(token).ask(&self.callers).await {
            Authentication::Authenticated(user) => Some(user.into_user()),
            Authentication::Failed(_) => None,
            Authentication::NotRequested => panic!("a token was shown"),
        }
    }

    async fn may(&self, user: &UserInfo, attributes: &Attributes) -> Option<bool> {
        let decision = self.permissions.authorize(user, attributes).await;
        decision.ok().map(|decision| decision.is_allowed())
    }
}

async fn create<K>(host: &Host, object: Value)
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Serialize,
{
    let objects: Api<K> = Api::namespaced(host.client.clone(), "default");
    let object = serde_json::from_value(object).unwrap();
    objects
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
}

async fn service_account_token(host: &Host) -> String {
    create::<ServiceAccount>(host, json!({ "metadata": { "name": "bot" } })).await;
    let accounts: Api<ServiceAccount> = Api::namespaced(host.client.clone(), "default");
    let request = TokenRequest::default();
    let params = PostParams::default();
    let issued = accounts.create_token_request("bot", &params, &request);
    issued.await.unwrap().status.unwrap().token.unwrap()
}

/// Permits `bot` to read secrets in `default`.
async fn let_bot_read(host: &Host) {
    create::<Role>(
        host,
        json!({ "metadata": { "name": "reader" },
            "rules": [{ "apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"] }] }),
    )
    .await;
    create::<RoleBinding>(
        host,
        json!({ "metadata": { "name": "reader" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader" },
            "subjects": [{ "kind": "ServiceAccount", "name": "bot", "namespace": "default" }] }),
    )
    .await;
}

fn secrets(verb: &str) -> Attributes {
    Attributes::resource(verb, "", "secrets").in_namespace("default")
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_and_permissions_are_those_of_the_host_while_it_answers() {
    let mut host = Host::start(&[]).await;
    let behind = Behind::new(&host);
    let token = service_account_token(&host).await;
    let bot = behind.name_of(&token).await.unwrap();
    assert_eq!(bot.name, "system:serviceaccount:default:bot");
    assert!(bot.in_group("system:serviceaccounts:default") && !bot.uid.is_empty());
    assert_eq!(behind.name_of("rubbish").await, None);
    assert_eq!(behind.name_of(&format!("{token}x")).await, None);

    let_bot_read(&host).await;
    // The host's own RBAC learns of a binding through a watch.
    until("the binding counts", async || {
        behind.clock.advance(SignedDuration::from_secs(10));
        behind.may(&bot, &secrets("get")).await == Some(true)
    })
    .await;
    let mut list = secrets("list");
    list.label_selector = LabelSelector::parse("a=1,b>2").unwrap();
    assert_eq!(behind.may(&bot, &secrets("get")).await, Some(true));
    assert_eq!(behind.may(&bot, &list).await, Some(true));
    assert_eq!(behind.may(&bot, &secrets("delete")).await, Some(false));
    assert_eq!(
        behind
            .may(&bot, &secrets("get").in_namespace("kube-system"))
            .await,
        Some(false)
    );
    assert_eq!(
        behind.may(&UserInfo::named("bot"), &secrets("get")).await,
        Some(false)
    );
    assert_eq!(
        behind.may(&bot, &Attributes::path("get", "/metrics")).await,
        Some(false)
    );
    let member = UserInfo {
        groups: vec!["system:masters".to_owned()],
        ..UserInfo::named("alice")
    };
    let metrics = Attributes::path("get", "/metrics");
    assert_eq!(behind.may(&member, &metrics).await, Some(true));

    let bindings: Api<RoleBinding> = Api::namespaced(host.client.clone(), "default");
    bindings
        .delete("reader", &DeleteParams::default())
        .await
        .unwrap();
    let fresh = Behind::new(&host);
    until("the binding is gone", async || {
        fresh.clock.advance(SignedDuration::from_secs(10));
        fresh.may(&bot, &secrets("get")).await == Some(false)
    })
    .await;
    behind.clock.advance(SignedDuration::from_secs(9));
    assert_eq!(behind.may(&bot, &secrets("get")).await, Some(true));
    behind.clock.advance(SignedDuration::from_secs(1));
    assert_eq!(behind.may(&bot, &secrets("get")).await, Some(false));
    assert_eq!(behind.may(&member, &metrics).await, Some(true));
    assert_eq!(behind.name_of(&token).await, Some(bot.clone()));

    host.cluster.stop_apiserver();
    behind.clock.advance(SignedDuration::from_secs(9));
    assert_eq!(behind.may(&member, &metrics).await, Some(true));
    assert_eq!(behind.name_of(&token).await, Some(bot));
    assert_eq!(behind.may(&member, &secrets("get")).await, None);
    behind.clock.advance(SignedDuration::from_secs(1));
    assert_eq!(behind.may(&member, &metrics).await, None);
    assert!(is_refused(
        &Caller::with_token(&token)
            .ask(&behind.callers)
            .await
            .or_anonymous()
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn host_that_hangs_refuses() {
    let host = Host::start(&[]).await;
    let behind = Behind::new(&host);
    host.cluster.pause_apiserver().unwrap();
    let (alice, get) = (UserInfo::named("alice"), secrets("get"));
    let decision = behind.permissions.authorize(&alice, &get);
    let decision = tokio::time::timeout(Duration::from_secs(60), decision).await;
    host.cluster.resume_apiserver().unwrap();
    let allowed = decision
        .unwrap()
        .map(|decision: Decision| decision.is_allowed());
    assert_eq!(allowed.ok(), None);
}
