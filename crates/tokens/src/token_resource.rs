//! `tokens.ext.cattle.io`: the records of minted tokens, as their owners see them.

mod create;

use std::collections::HashSet;
use std::sync::Arc;

use ::management::access::validate_access;
use ::management::record_size::{check_description, check_metadata};
use ::management::settings::Settings;
use api::ext::{self, Token, TokenPrincipal, token};
use api::labels;
use api::management::Cluster;
use api::management::cluster::LOCAL;
use apiserver::cell::{AGE, age};
use apiserver::description::{Description, KindSchema, Scope, Verb};
use apiserver::registry::Registry;
use apiserver::request_context::RequestContext;
use apiserver::resource::{Resource, Update, Visibility, Write, owner_visibility};
use apiserver::stored_object::{Index, Owner, StoredObject};
use async_trait::async_trait;
use grants::GrantLimits;
use jiff::Timestamp;
use machinery::field::{self, ErrorList, Path};
use machinery::human_duration::human_duration;
use machinery::meta::{Metadata, MetadataExt};
use machinery::status::Status;
use machinery::table::Column;
use serde_json::Value;

use crate::exchange::Exchange;
use crate::minter::Minter;
use crate::origin::{Origins, token_of};
use crate::quota::{Growth, Quota};
use crate::suspension::Suspension;
use crate::token_record::set_expiry;
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

/// Maximum number of clusters that a client can name, and maximum length of their names, in bytes.
const MAX_CLUSTERS: usize = 1000;
const MAX_CLUSTER_NAME: usize = 253;

/// Maximum length of `spec.kind`, in bytes. The kind is a single word.
const MAX_KIND: usize = 253;

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

    fn personal(&self, cx: &RequestContext, object: &StoredObject) -> Option<Arc<StoredObject>> {
        let current = token_of(&cx.authenticated)?;
        let is_current = object.name() == current;
        let registry = &self.parts.registry;
        is_current
            .then(|| registry.amended(object, |token| token.status.current = true))
            .flatten()
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
        self.create_token(cx, token, dry_run).await
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
