//! `tokens.ext.cattle.io`: the records of minted tokens as their owners see them.

use std::sync::Arc;

use api::ext::{self, Token, TokenPrincipal, token};
use api::management::Cluster;
use api::{labels, management};
use apiserver::cell::{AGE, age};
use apiserver::description::{Description, KindSchema, Scope, Verb};
use apiserver::registry::Registry;
use apiserver::request_context::RequestContext;
use apiserver::resource::{Resource, Visibility, owner_visibility};
use apiserver::stored_object::Index;
use async_trait::async_trait;
use auth::Attributes;
use jiff::{SignedDuration, Timestamp};
use machinery::human_duration::human_duration;
use machinery::meta::Metadata;
use machinery::status::Status;
use machinery::table::Column;
use serde_json::Value;

use crate::exchange::{self, Cover, Exchange};
use crate::minter::{MAX_TTL_SECS, Minter, unique_name};
use crate::user_directory::UserDirectory;

/// What the kind is.
pub fn description() -> Description {
    Description {
        group: ext::GROUP,
        version: ext::VERSION,
        kind: Token::KIND,
        plural: Token::PLURAL,
        singular: Token::SINGULAR,
        short_names: &[],
        categories: &[],
        scope: Scope::Cluster,
        verbs: Verb::ALL,
        subresources: &[],
        schema: KindSchema::of::<Token>(),
    }
}

/// Tokens belong to the user whom they speak for.
pub const INDEX: Index<Token> = Index {
    owner: |token| Some(&token.spec.user_id),
    fields: &[],
};

/// The longest life of something in milliseconds, as settings say it at the moment; `None` for any.
pub type MaxTtl = Arc<dyn Fn() -> Result<Option<i64>, Status> + Send + Sync>;

/// How long what is created here may live.
pub struct MaxTtls {
    /// Any token.
    pub token: MaxTtl,
    /// One that a login is exchanged for.
    pub exchanged: MaxTtl,
    /// A client certificate; never more than [`MAX_CERTIFICATE_TTL_MILLIS`].
    pub certificate: MaxTtl,
}

/// The longest life of a client certificate, in milliseconds: it cannot be taken back.
pub const MAX_CERTIFICATE_TTL_MILLIS: i64 = 10 * 60 * 1000;

/// The shortest life of a token, in milliseconds: its times are in whole seconds.
const MIN_TTL_MILLIS: i64 = 1000;

/// The strategy of tokens.
pub struct TokenResource {
    registry: Registry<Token>,
    clusters: Registry<Cluster>,
    exchange: Exchange,
    users: Arc<UserDirectory>,
    minter: Arc<Minter>,
    max_ttls: MaxTtls,
    exchanges: Exchanges,
}

/// Whether kubeconfigs give credentials at the moment.
pub type Exchanges = Arc<dyn Fn() -> bool + Send + Sync>;

const COLUMNS: [Column; 6] = [
    Column::NAME,
    Column::string("User", "User whom the token speaks for.").wide(),
    Column::string("Kind", "What the token is for."),
    Column::string("TTL", "How long the token lives from its creation."),
    AGE,
    Column::string("Description", "What the token is for, in words.").wide(),
];

impl TokenResource {
    /// Over these records.
    pub fn new(
        (registry, clusters, exchange): (Registry<Token>, Registry<Cluster>, Exchange),
        users: Arc<UserDirectory>,
        minter: Arc<Minter>,
        max_ttls: MaxTtls,
    ) -> Self {
        Self {
            registry,
            clusters,
            exchange,
            users,
            minter,
            max_ttls,
            exchanges: Arc::new(|| true),
        }
    }

    /// Exchanges logins for credentials of kubeconfigs only while this says so.
    #[must_use]
    pub fn exchanging_while(self, exchanges: Exchanges) -> Self {
        Self { exchanges, ..self }
    }

    fn check_caller(&self, cx: &RequestContext, token: &Token) -> Result<(), Status> {
        let name = &cx.user.name;
        let Some(user) = self.users.find(name) else {
            let text = format!("user {name} is not a Rancher user");
            return Err(Status::forbidden(self.registry.group_resource(), "", &text));
        };
        if !user.enabled {
            return Err(Status::bad_request("operation references a disabled user"));
        }
        if token.spec.user_id != *name {
            return Err(Status::bad_request("unable to create token for other user"));
        }
        Ok(())
    }

    async fn create_plain(
        &self,
        cx: &RequestContext,
        mut token: Token,
        dry_run: bool,
    ) -> Result<Token, Status> {
        if !token.spec.certificate_signing_request.is_empty() {
            return Err(Status::bad_request(
                "spec.certificateSigningRequest needs spec.kubeconfigName and spec.clusterName",
            ));
        }
        if !token.spec.cluster_name.is_empty() {
            self.check_cluster(cx, &token.spec.cluster_name).await?;
        }
        settle_ttl(&mut token, self.max_token_ttl()?)?;
        token.metadata.name = Some(unique_name());
        self.store(cx, token, dry_run).await
    }

    /// What a record of the caller gives: a token, or a client certificate.
    async fn create_exchanged(
        &self,
        cx: &RequestContext,
        mut token: Token,
        dry_run: bool,
    ) -> Result<Token, Status> {
        if !(self.exchanges)() {
            let text = "kubeconfigs are turned off by the feature ext-kubeconfigs";
            return Err(Status::forbidden(self.registry.group_resource(), "", text));
        }
        let now = cx.clock.now();
        let name = &token.spec.kubeconfig_name;
        let record = self.exchange.record(name, &cx.user.name, now).await?;
        let cover = exchange::cover(&record, &token.spec.cluster_name)?;
        let left = exchange::left(&record, now);
        exchange::bind(&mut token, &record);
        if !token.spec.certificate_signing_request.is_empty() {
            let mut certified = self.certify(cx, token, left).await?;
            if dry_run {
                certified.status.certificate.clear();
            }
            return Ok(certified);
        }
        if cover == Cover::Cluster {
            self.check_cluster(cx, &token.spec.cluster_name).await?;
        }
        let max = (self.max_ttls.exchanged)()?.unwrap_or(i64::MAX);
        settle_ttl(&mut token, self.max_token_ttl()?.min(max).min(left))?;
        token.metadata.name = Some(unique_name());
        self.store(cx, token, dry_run).await
    }

    /// A certificate in place of a token. Nothing is stored: there is nothing to take back.
    async fn certify(
        &self,
        cx: &RequestContext,
        mut token: Token,
        left: i64,
    ) -> Result<Token, Status> {
        let cluster = self.check_cluster(cx, &token.spec.cluster_name).await?;
        let max = (self.max_ttls.certificate)()?.unwrap_or(i64::MAX);
        settle_ttl(&mut token, max.min(MAX_CERTIFICATE_TTL_MILLIS).min(left))?;
        say_expiry(&mut token);
        let request = token.spec.certificate_signing_request.as_str();
        let life = SignedDuration::from_millis(token.spec.ttl);
        let (asked, time) = ((cx.user.name.as_str(), request), (cx.clock.now(), life));
        token.status.certificate =
            exchange::issue(&self.exchange.signers, &cluster, asked, time).await?;
        Ok(token)
    }

    /// Stores a token and gives it back with the bearer token that only this answer carries.
    async fn store(
        &self,
        cx: &RequestContext,
        mut token: Token,
        dry_run: bool,
    ) -> Result<Token, Status> {
        say_expiry(&mut token);
        let mut stored = self.registry.insert(token, dry_run).await?;
        if !dry_run {
            let now = cx.clock.now();
            self.minter.cover(stored.spec.ttl / 1000, now).await?;
            let bearer = self.minter.sign(&stored, now)?;
            stored.status.value = bearer.expose().to_owned();
            stored.status.bearer_token = bearer.expose().to_owned();
        }
        Ok(stored)
    }

    fn max_token_ttl(&self) -> Result<i64, Status> {
        let longest = MAX_TTL_SECS * 1000;
        Ok((self.max_ttls.token)()?.unwrap_or(longest).min(longest))
    }

    /// The cluster of this name, if the caller may get it.
    async fn check_cluster(&self, cx: &RequestContext, name: &str) -> Result<Cluster, Status> {
        let attributes =
            Attributes::resource("get", management::GROUP, Cluster::PLURAL).object(name);
        if !cx.may(&attributes).await? {
            let text = format!(
                "user {} is not allowed to access cluster {name}",
                cx.user.name
            );
            return Err(Status::forbidden(self.registry.group_resource(), "", &text));
        }
        let cluster = self.clusters.get("", name).await?;
        cluster.ok_or_else(|| Status::bad_request(format!("cluster {name} not found")))
    }
}

#[async_trait]
impl Resource for TokenResource {
    type Object = Token;

    fn registry(&self) -> &Registry<Token> {
        &self.registry
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, token: &Token, now: Timestamp) -> Vec<Value> {
        vec![
            token.metadata.name.as_deref().into(),
            token.spec.user_id.as_str().into(),
            token.spec.kind.as_str().into(),
            human_duration(token.spec.ttl / 1000).into(),
            age(&token.metadata, now),
            token.spec.description.as_str().into(),
        ]
    }

    fn creates_on_apply(&self) -> bool {
        false
    }

    fn reset_fields(&self) -> &'static [&'static str] {
        &["status"]
    }

    async fn visibility(&self, cx: &RequestContext, verb: Verb) -> Result<Visibility, Status> {
        owner_visibility(cx, verb).await
    }

    fn prepare_create(&self, cx: &RequestContext, token: &mut Token) -> Result<(), Status> {
        token.status = ext::TokenStatus::default();
        token.metadata.name = None;
        token.metadata.generate_name = Some(token::NAME_PREFIX.to_owned());
        token.metadata.owner_references = None;
        token.spec.groups.clear();
        drop_server_labels(token);
        if token.spec.user_id.is_empty() {
            token.spec.user_id.clone_from(&cx.user.name);
        }
        token.spec.user_principal = TokenPrincipal {
            name: format!("local://{}", cx.user.name),
            login_name: cx.user.name.clone(),
            principal_type: "user".to_owned(),
            provider: "local".to_owned(),
            ..TokenPrincipal::default()
        };
        token.spec.cluster_names = match token.spec.cluster_name.as_str() {
            "" => vec![management::cluster::LOCAL.to_owned()],
            _ => Vec::new(),
        };
        Ok(())
    }

    fn prepare_update(
        &self,
        _cx: &RequestContext,
        token: &mut Token,
        live: &Token,
    ) -> Result<(), Status> {
        token.status = live.status.clone();
        say_expiry(token);
        token
            .metadata
            .owner_references
            .clone_from(&live.metadata.owner_references);
        drop_server_labels(token);
        let labels = live.metadata.labels.iter().flatten();
        let own = labels.filter(|(key, _)| is_server_label(key));
        let kept: Vec<_> = own
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if !kept.is_empty() {
            token.metadata.labels.get_or_insert_default().extend(kept);
        }
        let (new, old) = (&token.spec, &live.spec);
        let immutable = [
            ("spec.userID", new.user_id == old.user_id),
            ("spec.kind", new.kind == old.kind),
            (
                "spec.userprincipal",
                new.user_principal == old.user_principal,
            ),
            ("spec.clusterName", new.cluster_name == old.cluster_name),
            ("spec.clusterNames", new.cluster_names == old.cluster_names),
            ("spec.groups", new.groups == old.groups),
            (
                "spec.kubeconfigName",
                new.kubeconfig_name == old.kubeconfig_name,
            ),
            (
                "spec.certificateSigningRequest",
                new.certificate_signing_request == old.certificate_signing_request,
            ),
        ];
        match immutable.iter().find(|(_, same)| !same) {
            Some((field, _)) => Err(Status::bad_request(format!("{field} is immutable"))),
            // The signed token carries its end: a record that said a later one would promise what the token cannot keep.
            None if new.ttl > old.ttl || (new.ttl < 0 && old.ttl >= 0) => {
                Err(Status::bad_request("forbidden to extend time-to-live"))
            }
            None => Ok(()),
        }
    }

    async fn create(
        &self,
        cx: &RequestContext,
        token: Token,
        dry_run: bool,
    ) -> Result<Token, Status> {
        self.check_caller(cx, &token)?;
        match token.spec.kubeconfig_name.is_empty() {
            true => self.create_plain(cx, token, dry_run).await,
            false => self.create_exchanged(cx, token, dry_run).await,
        }
    }
}

/// The life of a new token: what was asked for, or the longest.
fn settle_ttl(token: &mut Token, max: i64) -> Result<(), Status> {
    if max < MIN_TTL_MILLIS {
        return Err(Status::bad_request(format!(
            "the longest life that is permitted, {max} ms, is less than one second: a setting is too low, or the kubeconfig expires",
        )));
    }
    match token.spec.ttl {
        ttl if (1..MIN_TTL_MILLIS).contains(&ttl) => {
            return Err(Status::bad_request(format!(
                "spec.ttl {ttl} is less than min ttl {MIN_TTL_MILLIS}: it is in milliseconds"
            )));
        }
        ttl if ttl <= 0 => token.spec.ttl = max,
        ttl if ttl > max => {
            return Err(Status::bad_request(format!(
                "spec.ttl {ttl} exceeds max ttl {max}"
            )));
        }
        _ => {}
    }
    Ok(())
}

/// Says in the status when the token expires: a fact of the record, so it is stored (B216).
pub(crate) fn say_expiry(token: &mut Token) {
    let expiry = token
        .expires_at()
        .and_then(|expiry| Timestamp::from_second(expiry.as_second()).ok());
    token.status.expires_at = expiry.map(|expiry| expiry.to_string()).unwrap_or_default();
}

fn is_server_label(key: &str) -> bool {
    [labels::USER_ID, labels::KUBECONFIG_ID, labels::TOKEN_KIND].contains(&key)
}

fn drop_server_labels(token: &mut Token) {
    if let Some(labels) = &mut token.metadata_mut().labels {
        labels.retain(|key, _| !is_server_label(key));
    }
}
