//! `tokens.ext.cattle.io`: the records of minted tokens, as their owners see them.

use std::collections::HashSet;
use std::sync::Arc;

use ::management::access::validate_access;
use ::management::record_size::{check_description, check_metadata, json_size};
use ::management::settings::Settings;
use api::ext::token::TokenEndpoint;
use api::ext::{self, Kubeconfig, Token, TokenPrincipal, TokenSpec, token};
use api::management::Cluster;
use api::management::cluster::LOCAL;
use api::{labels, management};
use apiserver::cell::{AGE, age};
use apiserver::description::{Description, KindSchema, Scope, Verb};
use apiserver::registry::Registry;
use apiserver::request_context::RequestContext;
use apiserver::resource::{Resource, Update, Visibility, Write, owner_visibility};
use apiserver::stored_object::{Index, Owner};
use async_trait::async_trait;
use auth::Attributes;
use certificates::Validity;
use grants::GrantLimits;
use jiff::{SignedDuration, Timestamp};
use machinery::field::{self, ErrorList, Path};
use machinery::human_duration::human_duration;
use machinery::meta::{Metadata, MetadataExt, ObjectKey};
use machinery::status::Status;
use machinery::table::Column;
use serde_json::Value;

use crate::cluster_scope::ClusterId;
use crate::exchange::{self, Cover, Exchange};
use crate::minter::Minter;
use crate::origin::{Origin, Origins};
use crate::quota::{Demand, Growth, Quota};
use crate::suspension::Suspension;
use crate::token_record::{MAX_TTL, set_expiry, unique_name};
use crate::user_directory::UserDirectory;

/// Returns the description of the kind.
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

/// The index of tokens. The owner of a token is the user that it authenticates.
pub const INDEX: Index<Token> = Index {
    owner: |token| {
        Some(Owner {
            name: &token.spec.user_id,
            uid: token.status.user_uid.as_deref().unwrap_or_default(),
        })
    },
    fields: &[
        ("spec.clusters", |token| {
            let single = Some(&token.spec.cluster_name).filter(|name| !name.is_empty());
            token
                .spec
                .cluster_names
                .iter()
                .chain(single)
                .cloned()
                .collect()
        }),
        ("spec.userID", |token| vec![token.spec.user_id.clone()]),
        ("status.userName", |token| vec![token.spec.user_id.clone()]),
    ],
    expires: Some(Token::expires_at),
};

/// Maximum lifetime of a client certificate. It is short because a certificate cannot be revoked.
const MAX_CERTIFICATE_TTL: SignedDuration = SignedDuration::from_mins(10);

/// Maximum number of clusters that a client can name, and maximum length of their names, in bytes.
const MAX_CLUSTERS: usize = 1000;
const MAX_CLUSTER_NAME: usize = 253;

/// Maximum length of `spec.kind`, in bytes. The kind is a single word.
const MAX_KIND: usize = 253;

/// Minimum lifetime of a token: its times are in whole seconds.
const MIN_TTL: SignedDuration = SignedDuration::from_secs(1);

/// The strategy of tokens.
pub struct TokenResource {
    parts: TokenResourceParts,
}

/// The parts of the strategy of tokens.
pub struct TokenResourceParts {
    /// The records.
    pub registry: Registry<Token>,
    /// The clusters that tokens are for.
    pub clusters: Registry<Cluster>,
    /// The exchange of logins for credentials.
    pub exchange: Exchange,
    /// The users, who must exist to create tokens.
    pub users: Arc<UserDirectory>,
    /// Determines the origin of requests.
    pub origins: Arc<Origins>,
    /// Signs the tokens.
    pub minter: Arc<Minter>,
    /// The settings, which limit lifetimes.
    pub settings: Settings,
    /// The quota of each user.
    pub quota: Arc<Quota>,
    /// The limits of the grants of clusters.
    pub grants: GrantLimits,
}

const COLUMNS: [Column; 6] = [
    Column::NAME,
    Column::string("User", "User whom the token authenticates.").wide(),
    Column::string("Kind", "Kind of the token."),
    Column::string("TTL", "Lifetime of the token."),
    AGE,
    Column::string("Description", "Description of the token.").wide(),
];

impl TokenResource {
    /// Creates the strategy.
    pub fn new(parts: TokenResourceParts) -> Self {
        Self { parts }
    }

    fn check_caller(&self, cx: &RequestContext, token: &Token) -> Result<(), Status> {
        let name = &cx.user.name;
        let Some(user) = self.parts.users.find(name) else {
            let text = format!("user {name} is not a Rancher user");
            return Err(Status::forbidden(
                self.parts.registry.group_resource(),
                "",
                &text,
            ));
        };
        if !user.enabled {
            return Err(Status::bad_request("operation references a disabled user"));
        }
        if token.spec.user_id != *name {
            return Err(Status::bad_request("unable to create token for other user"));
        }
        Ok(())
    }

    /// Creates a token without a kubeconfig.
    async fn create_plain(&self, minting: Minting<'_>, mut token: Token) -> Result<Token, Status> {
        if !token.spec.certificate_signing_request.is_empty() {
            return Err(Status::bad_request(
                "spec.certificateSigningRequest requires spec.kubeconfigName and spec.clusterName",
            ));
        }
        if !token.spec.cluster_name.is_empty() {
            let cluster = self
                .check_cluster(&minting, &token.spec.cluster_name)
                .await?;
            pin_cluster(&mut token, &cluster);
        }
        for name in token.spec.cluster_names.clone() {
            match name.as_str() {
                LOCAL => self.check_name(&minting, &name)?,
                _ => {
                    let cluster = self.check_cluster(&minting, &name).await?;
                    pin_cluster(&mut token, &cluster);
                }
            }
        }
        let mut max = self.max_token_ttl(&minting)?;
        let spec = &token.spec;
        for name in spec.cluster_names.iter().chain([&spec.cluster_name]) {
            max = max.min(self.granted_ttl(minting.cx, name).await?);
        }
        settle_ttl(&mut token, max)?;
        token.metadata.name = Some(unique_name());
        self.store(&minting, token).await
    }

    /// Creates a credential for a record of the caller: a token, or a client certificate.
    async fn create_exchanged(
        &self,
        minting: Minting<'_>,
        mut token: Token,
    ) -> Result<Token, Status> {
        if !self.parts.exchange.is_enabled() {
            let text = "kubeconfigs are turned off by the feature ext-kubeconfigs";
            let resource = self.parts.registry.group_resource();
            return Err(Status::forbidden(resource, "", text));
        }
        if token.spec.access.is_some() {
            return Err(Status::bad_request(
                "spec.access cannot be set together with spec.kubeconfigName: the token has the limits of the kubeconfig",
            ));
        }
        let (cx, now) = (minting.cx, minting.cx.clock.now());
        let (name, id) = (&token.spec.kubeconfig_name, &token.spec.cluster_name);
        let record = self.parts.exchange.record(name, &cx.user.name, now).await?;
        let cover = exchange::cover(&record, id)?;
        self.check_name(&minting, id)?;
        let cluster = match cover {
            Cover::Cluster => Some(self.check_cluster(&minting, id).await?),
            Cover::DefaultEntry => None,
        };
        if let Some(cluster) = &cluster {
            exchange::check_same(&record, cluster)?;
            pin_cluster(&mut token, cluster);
        }
        let cluster = token.spec.cluster_name.clone();
        exchange::bind(&mut token, &record);
        let left = exchange::left(&record, now);
        if !token.spec.certificate_signing_request.is_empty() {
            let mut certified = self.certify(minting, token, left).await?;
            certified.status.endpoints = self.endpoints(cx, &record, &cluster).await?;
            return Ok(certified);
        }
        let max = self.parts.settings.exec_token_ttl()?.unwrap_or(left);
        let max = max.min(self.granted_ttl(cx, &cluster).await?);
        settle_ttl(&mut token, self.max_token_ttl(&minting)?.min(max).min(left))?;
        token.metadata.name = Some(unique_name());
        let endpoints = self.endpoints(cx, &record, &cluster).await?;
        let mut stored = self.store(&minting, token).await?;
        stored.status.endpoints = endpoints;
        Ok(stored)
    }

    /// Returns the addresses that a credential of a record may be sent to.
    async fn endpoints(
        &self,
        cx: &RequestContext,
        record: &Kubeconfig,
        cluster: &str,
    ) -> Result<Vec<TokenEndpoint>, Status> {
        let endpoints = &self.parts.exchange.endpoints;
        endpoints.endpoints(cx, record, cluster).await
    }

    /// Issues a certificate instead of a token. Nothing is stored, because a certificate cannot be
    /// revoked.
    async fn certify(
        &self,
        minting: Minting<'_>,
        mut token: Token,
        left: SignedDuration,
    ) -> Result<Token, Status> {
        let cx = minting.cx;
        if self.is_limited(cx, &token.spec).await? {
            return Err(Status::bad_request(
                "a client certificate cannot be limited: the kubeconfig or your grant has spec.access, so request a token",
            ));
        }
        let cluster = self
            .check_cluster(&minting, &token.spec.cluster_name)
            .await?;
        let max = self.parts.settings.exec_certificate_ttl()?;
        let granted = self.granted_ttl(cx, cluster.id()).await?;
        let max = max.unwrap_or(left).min(MAX_CERTIFICATE_TTL);
        let max = max.min(left).min(granted);
        settle_ttl(&mut token, minting.limit(max)?)?;
        set_expiry(&mut token);
        let life = SignedDuration::from_millis(token.spec.ttl);
        let (groups, source) = (&minting.origin.groups, &minting.origin.groups_source);
        let user = &cx.user.name;
        let groups = self
            .parts
            .minter
            .groups()
            .of(&cluster, user, groups, source)?;
        let certificate = exchange::issue(
            &self.parts.exchange.signers,
            &cluster,
            &cx.user.name,
            &groups,
            &token.spec.certificate_signing_request,
            Validity::starting(cx.clock.now(), life),
        )
        .await?;
        if !minting.dry_run {
            token.status.certificate = certificate;
        }
        Ok(token)
    }

    /// Stores a token and returns it with its bearer token, which only this response carries.
    async fn store(&self, minting: &Minting<'_>, mut token: Token) -> Result<Token, Status> {
        set_expiry(&mut token);
        token.status.only_here = self.is_limited(minting.cx, &token.spec).await?;
        minting.origin.describe(&mut token.status);
        self.parts.minter.check_groups(&token)?;
        let demand = Demand {
            tokens: 1,
            bytes: json_size(&token),
            ..Demand::default()
        };
        let quota = &self.parts.quota;
        let _reserved = quota.reserve(minting.cx, demand, minting.dry_run).await?;
        if !minting.dry_run {
            self.parts.origins.record_login(minting.cx).await?;
        }
        let mut stored = self
            .parts
            .registry
            .store()
            .insert(token, minting.dry_run)
            .await?;
        if !minting.dry_run {
            let now = minting.cx.clock.now();
            self.parts.minter.cover(stored.spec.ttl / 1000, now).await?;
            let bearer = self.parts.minter.sign(&stored, now)?;
            stored.status.value = bearer.expose().to_owned();
            stored.status.bearer_token = bearer.expose().to_owned();
        }
        Ok(stored)
    }

    /// Returns whether limits apply to a token, of its own or of grants.
    async fn is_limited(&self, cx: &RequestContext, spec: &TokenSpec) -> Result<bool, Status> {
        if spec.access.is_some() {
            return Ok(true);
        }
        for cluster in spec.cluster_names.iter().chain([&spec.cluster_name]) {
            if !self
                .parts
                .grants
                .ceilings(&cx.user, cluster)
                .await?
                .is_empty()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the maximum lifetime of a token for a cluster by the grants of the caller.
    async fn granted_ttl(
        &self,
        cx: &RequestContext,
        cluster: &str,
    ) -> Result<SignedDuration, Status> {
        let granted = self.parts.grants.max_ttl(cx, cluster).await?;
        Ok(granted.unwrap_or(MAX_TTL))
    }

    /// Returns the maximum lifetime of a token.
    fn max_token_ttl(&self, minting: &Minting<'_>) -> Result<SignedDuration, Status> {
        let max = self.parts.settings.token_max_ttl()?;
        minting.limit(max.unwrap_or(MAX_TTL).min(MAX_TTL))
    }

    /// Returns the cluster of this name, if the caller may get it.
    async fn check_cluster(&self, minting: &Minting<'_>, name: &str) -> Result<Cluster, Status> {
        let attributes =
            Attributes::resource("get", management::GROUP, Cluster::PLURAL).object(name);
        if !minting.cx.may(&attributes).await? {
            let user = &minting.cx.user.name;
            let text = format!("user {user} is not allowed to access cluster {name}");
            return Err(Status::forbidden(
                self.parts.registry.group_resource(),
                "",
                &text,
            ));
        }
        self.check_name(minting, name)?;
        let cluster = self
            .parts
            .clusters
            .store()
            .get(ObjectKey::cluster(name))
            .await?;
        let cluster = cluster.filter(|cluster| !cluster.is_being_deleted());
        let cluster =
            cluster.ok_or_else(|| Status::bad_request(format!("cluster {name} not found")))?;
        let resource = self.parts.registry.group_resource();
        let origin = &minting.origin;
        origin.check_cluster(ClusterId::of(&cluster), resource)?;
        Ok(cluster)
    }

    /// Checks that the origin of the request may reach a cluster of this name.
    fn check_name(&self, minting: &Minting<'_>, cluster: &str) -> Result<(), Status> {
        let resource = self.parts.registry.group_resource();
        minting.origin.check_name(cluster, resource)
    }
}

/// A request to create a token.
struct Minting<'a> {
    cx: &'a RequestContext,
    origin: Origin,
    dry_run: bool,
}

impl Minting<'_> {
    /// Limits a lifetime to what the origin of the request has left.
    fn limit(&self, max: SignedDuration) -> Result<SignedDuration, Status> {
        let left = self.origin.max_ttl(self.cx.clock.now());
        match left.map_or(max, |left| max.min(left)) {
            limit if limit < exchange::MIN_LEFT && left.is_some() => Err(Status::bad_request(
                "the token of this request expires too soon to create another",
            )),
            limit => Ok(limit),
        }
    }
}

#[async_trait]
impl Resource for TokenResource {
    type Object = Token;

    fn registry(&self) -> &Registry<Token> {
        &self.parts.registry
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
        let uid = self.parts.users.uid(&cx.user.name);
        owner_visibility(cx, verb, &uid).await
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
        token.spec.user_principal = TokenPrincipal::of_user(&cx.user.name);
        let spec = &mut token.spec;
        if !spec.cluster_name.is_empty() || !spec.kubeconfig_name.is_empty() {
            spec.cluster_names.clear();
        } else if spec.cluster_names.is_empty() {
            spec.cluster_names = vec![LOCAL.to_owned()];
        }
        Ok(())
    }

    fn prepare_update(
        &self,
        cx: &RequestContext,
        token: &mut Token,
        live: &Token,
    ) -> Result<(), Status> {
        token.status = live.status.clone();
        set_expiry(token);
        let now = cx.clock.now();
        suspension(token, live).note(cx, &mut token.status.conditions, now);
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
            ("spec.access", new.access == old.access),
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
            // The signed token carries its own end. A record with a later end would promise more
            // than the token can keep.
            None if new.ttl > old.ttl || (new.ttl < 0 && old.ttl >= 0) => {
                Err(Status::bad_request("forbidden to extend time-to-live"))
            }
            None => Ok(()),
        }
    }

    fn validate(&self, token: &Token, live: Option<&Token>) -> ErrorList {
        let described = live.map(|live| live.spec.description.as_str());
        let mut errors = check_description(&token.spec.description, described);
        if live.is_none() && token.spec.kind.len() > MAX_KIND {
            let path = Path::root("spec").child("kind");
            errors.push(field::Error::too_long(&path, MAX_KIND));
        }
        if live.is_none() {
            errors.extend(validate_names(&token.spec.cluster_names));
        }
        if let (Some(access), None) = (&token.spec.access, live) {
            errors.extend(validate_access(access, &Path::root("spec").child("access")));
        }
        errors.extend(check_metadata(
            &token.metadata,
            live.map(|live| &live.metadata),
        ));
        errors
    }

    async fn meter(&self, cx: &RequestContext, update: Update<'_, Token>) -> Result<(), Status> {
        let change = suspension(update.object, update.live);
        let growth = Growth::of(&update, &change);
        self.parts.quota.update(cx, growth).await
    }

    async fn admit(&self, cx: &RequestContext, write: Write<'_, Token>) -> Result<(), Status> {
        let Write::Update { object, live } = write else {
            return Ok(());
        };
        let change = suspension(object, live);
        let allowed = change.check(cx, &live.status.conditions).await;
        let name = live.metadata.name();
        allowed.map_err(|error| error.into_status(self.parts.registry.group_resource(), name))
    }

    async fn create(
        &self,
        cx: &RequestContext,
        token: Token,
        dry_run: bool,
    ) -> Result<Token, Status> {
        self.check_caller(cx, &token)?;
        if !dry_run {
            self.parts.quota.count_create(cx).await?;
        }
        let resource = self.parts.registry.group_resource();
        let minting = Minting {
            cx,
            origin: self.parts.origins.of(cx, resource).await?,
            dry_run,
        };
        match token.spec.kubeconfig_name.is_empty() {
            true => self.create_plain(minting, token).await,
            false => self.create_exchanged(minting, token).await,
        }
    }
}

/// Returns the change of the token's enabled state.
fn suspension<'a>(token: &Token, live: &'a Token) -> Suspension<'a> {
    Suspension {
        condition: token::CONDITION_DISABLED,
        owner: &live.spec.user_id,
        was_off: !live.spec.is_enabled(),
        is_off: !token.spec.is_enabled(),
    }
}

/// Binds a token to this very cluster, and not to a later one of the same name.
fn pin_cluster(token: &mut Token, cluster: &Cluster) {
    let uid = cluster.metadata.uid.clone().unwrap_or_default();
    let uids = &mut token.status.cluster_uids;
    uids.insert(cluster.id().to_owned(), uid);
}

/// Sets the lifetime of a new token: the requested one, or the maximum.
fn settle_ttl(token: &mut Token, max: SignedDuration) -> Result<(), Status> {
    let min = millis(MIN_TTL);
    let max = millis(max);
    if max < min {
        return Err(Status::bad_request(format!(
            "the longest permitted lifetime, {max} ms, is less than one second: a setting is too low, or the kubeconfig is about to expire",
        )));
    }
    match token.spec.ttl {
        ttl if (1..min).contains(&ttl) => {
            return Err(Status::bad_request(format!(
                "spec.ttl {ttl} is less than min ttl {min}: it is in milliseconds"
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

/// Returns a lifetime in the unit of `spec.ttl`, or the maximum if it is out of range.
fn millis(ttl: SignedDuration) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX)
}

/// Returns the problems with `spec.clusterNames`.
fn validate_names(names: &[String]) -> ErrorList {
    let path = Path::root("spec").child("clusterNames");
    if names.len() > MAX_CLUSTERS {
        return vec![field::Error::too_many(&path, names.len(), MAX_CLUSTERS)];
    }
    let mut seen = HashSet::new();
    let mut errors = ErrorList::new();
    for (index, name) in names.iter().enumerate() {
        if name.is_empty() || name.len() > MAX_CLUSTER_NAME {
            let why = format!("must have between 1 and {MAX_CLUSTER_NAME} bytes");
            errors.push(field::Error::invalid(
                &path.index(index),
                name.as_str(),
                why,
            ));
        } else if !seen.insert(name) {
            errors.push(field::Error::duplicate(&path.index(index), name.as_str()));
        }
    }
    errors
}

fn is_server_label(key: &str) -> bool {
    [labels::USER_ID, labels::KUBECONFIG_ID, labels::TOKEN_KIND].contains(&key)
}

fn drop_server_labels(token: &mut Token) {
    if let Some(labels) = &mut token.metadata_mut().labels {
        labels.retain(|key, _| !is_server_label(key));
    }
}
