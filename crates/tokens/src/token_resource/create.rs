//! The creation of tokens: of their own, and in exchange for a login.

use ::management::record_size::json_size;
use api::ext::token::TokenEndpoint;
use api::ext::{Kubeconfig, Token, TokenSpec};
use api::management::cluster::LOCAL;
use api::management::{self, Cluster};
use apiserver::request_context::RequestContext;
use auth::Attributes;
use certificates::Validity;
use jiff::SignedDuration;
use machinery::meta::ObjectKey;
use machinery::status::Status;

use super::TokenResource;
use crate::cluster_groups::Bearer;
use crate::cluster_scope::ClusterId;
use crate::exchange::{self, Cover};
use crate::origin::Origin;
use crate::quota::Demand;
use crate::token_record::{MAX_TTL, set_expiry, unique_name};

/// Maximum lifetime of a client certificate. It is short because a certificate cannot be revoked.
const MAX_CERTIFICATE_TTL: SignedDuration = SignedDuration::from_mins(10);

/// Minimum lifetime of a token: its times are in whole seconds.
const MIN_TTL: SignedDuration = SignedDuration::from_secs(1);

impl TokenResource {
    /// Creates a token, and returns it with the credential that only this response carries.
    pub(super) async fn create_token(
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
        let origin = self.parts.origins.of(cx, resource).await?;
        let minting = Minting {
            cx,
            is_limited: origin.is_limited(),
            origin,
            dry_run,
        };
        match token.spec.kubeconfig_name.is_empty() {
            true => self.create_plain(minting, token).await,
            false => self.create_exchanged(minting, token).await,
        }
    }

    fn check_caller(&self, cx: &RequestContext, token: &Token) -> Result<(), Status> {
        let name = &cx.user.name;
        let Some(user) = self.parts.users.find(name) else {
            let text = self.parts.users.unknown(name);
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
        mut minting: Minting<'_>,
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
        let parent = record.status.parent_token.as_ref();
        minting.is_limited |=
            parent.is_some_and(|parent| self.parts.exchange.validity.is_limited(parent, now));
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
        if self.is_limited(&minting, &token.spec).await? {
            return Err(Status::bad_request(
                "a client certificate cannot be limited: spec.access of the kubeconfig, of a token that it comes from, or of your grant applies; request a token instead",
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
        if !minting.dry_run {
            self.parts.origins.record_login(cx).await?;
        }
        let bearer = Bearer {
            user: &cx.user.name,
            groups: &minting.origin.groups,
            source: &minting.origin.groups_source,
            life: Some(life),
        };
        let groups = self.parts.minter.groups();
        let groups = groups.of(&cluster, &bearer, cx.clock.now())?;
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
        token.status.only_here = self.is_limited(minting, &token.spec).await?;
        minting.origin.describe(&mut token.status);
        let now = minting.cx.clock.now();
        if !minting.dry_run {
            self.parts.origins.record_login(minting.cx).await?;
        }
        self.parts.minter.check_groups(&token, now)?;
        let demand = Demand {
            tokens: 1,
            bytes: json_size(&token),
            ..Demand::default()
        };
        let quota = &self.parts.quota;
        let _reserved = quota.reserve(minting.cx, demand, minting.dry_run).await?;
        let mut stored = self
            .parts
            .registry
            .store()
            .insert(token, minting.dry_run)
            .await?;
        if !minting.dry_run {
            self.parts.minter.cover(stored.spec.ttl / 1000, now).await?;
            let bearer = self.parts.minter.sign(&stored, now)?;
            stored.status.value = bearer.expose().to_owned();
            stored.status.bearer_token = bearer.expose().to_owned();
        }
        Ok(stored)
    }

    /// Returns whether limits apply to a token: its own, inherited ones, or those of grants.
    async fn is_limited(&self, minting: &Minting<'_>, spec: &TokenSpec) -> Result<bool, Status> {
        if spec.access.is_some() || minting.is_limited {
            return Ok(true);
        }
        for cluster in spec.cluster_names.iter().chain([&spec.cluster_name]) {
            if !self
                .parts
                .grants
                .ceilings(&minting.cx.user, cluster)
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
    /// True if limits apply to the token because of where it comes from.
    is_limited: bool,
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
