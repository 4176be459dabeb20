//! Impersonation: the identity in the `Impersonate-*` headers, and the permissions that it
//! requires.
//!
//! Every part of the requested identity is authorized separately, as the real user, in the order of
//! [`Impersonation::attributes`]: the user or ServiceAccount, each group, each value of each extra
//! key, the uid. If one of them is denied, the request is rejected, with the denied attributes in
//! the message. Only after that may [`Impersonation::identity`] replace the real user, and the
//! headers are removed from the request. A name that cannot be asserted is rejected before any
//! authorization.
//!
//! Follows `k8s.io/apiserver/pkg/endpoints/filters/impersonation`, except that extra keys are
//! authorized in alphabetical order, while Go's map order is random.

use std::collections::BTreeMap;

use crate::authorizer::Attributes;
use crate::extra_key;
use crate::identity::{Identity, IdentityError};
use crate::service_account::ServiceAccountName;
use crate::user::{ALL_UNAUTHENTICATED, UserInfo};

const USER_HEADER: &str = "impersonate-user";
const UID_HEADER: &str = "impersonate-uid";
const GROUP_HEADER: &str = "impersonate-group";
const EXTRA_HEADER_PREFIX: &str = "impersonate-extra-";

const AUTHENTICATION_GROUP: &str = "authentication.k8s.io";
const AUTHENTICATION_VERSION: &str = "v1";

/// The identity that a request asks to act as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Impersonation {
    /// The user name. Empty if not given, which is an error if any other field is given.
    pub user: String,
    /// The uid. Empty if not given.
    pub uid: String,
    /// The groups. If any are given, they replace those that the user would have.
    pub groups: Vec<String>,
    /// The extra values, by lower-case, decoded key.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// A request for impersonation is invalid: a 400 with this text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImpersonationError {
    /// There are groups, a uid or extra values without a user to impersonate. The text is in
    /// kube-apiserver's format.
    #[error("requested [{0}] without impersonating a user")]
    NoUser(String),
    /// A name cannot be asserted.
    #[error("the impersonated {0}")]
    Identity(#[from] IdentityError),
}

impl Impersonation {
    /// Returns whether a header of this name (in any case) is an impersonation header. These
    /// headers are removed before a request is forwarded, whether the impersonation is granted or
    /// not.
    pub fn is_impersonation_header(name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        name.starts_with(EXTRA_HEADER_PREFIX)
            || [USER_HEADER, UID_HEADER, GROUP_HEADER].contains(&name.as_str())
    }

    /// Parses the headers of a request and ignores all others. Uses the first user and uid, and all
    /// groups and extra values. Extra keys are lower-cased, and percent-decoded if that is
    /// possible.
    ///
    /// Values are taken as bytes. A value that is not UTF-8 becomes another name, which is then
    /// authorized as such. It must not be dropped, because the request would then act as the real
    /// user.
    pub fn from_headers<'a, V: AsRef<[u8]>>(
        headers: impl IntoIterator<Item = (&'a str, V)>,
    ) -> Self {
        let mut wanted = Self::default();
        let (mut user, mut uid) = (None, None);
        for (name, value) in headers {
            let name = name.to_ascii_lowercase();
            let value = String::from_utf8_lossy(value.as_ref()).into_owned();
            match name.as_str() {
                USER_HEADER => user = user.or(Some(value)),
                UID_HEADER => uid = uid.or(Some(value)),
                GROUP_HEADER => wanted.groups.push(value),
                other => {
                    if let Some(key) = other.strip_prefix(EXTRA_HEADER_PREFIX) {
                        let key = extra_key::from_header(key);
                        wanted.extra.entry(key).or_default().push(value);
                    }
                }
            }
        }
        wanted.user = user.unwrap_or_default();
        wanted.uid = uid.unwrap_or_default();
        wanted
    }

    /// Returns whether the request asks for impersonation at all.
    pub fn is_requested(&self) -> bool {
        *self != Self::default()
    }

    /// Returns the attributes that the real user must be authorized for, in the order of the
    /// checks. Empty if no impersonation is requested.
    ///
    /// # Errors
    /// There is a request without a user, or with a name that cannot be asserted.
    pub fn attributes(&self) -> Result<Vec<Attributes>, ImpersonationError> {
        if self.user.is_empty() && self.is_requested() {
            let requested = self.references_without_user().join(" ");
            return Err(ImpersonationError::NoUser(requested));
        }
        if self.is_requested() {
            self.asserted()?;
        }
        let mut needed = Vec::new();
        if !self.user.is_empty() {
            needed.push(self.user_attributes());
        }
        for group in &self.groups {
            needed.push(impersonate("", "groups").object(group));
        }
        for (key, values) in &self.extra {
            for value in values {
                let extra = impersonate(AUTHENTICATION_GROUP, "userextras").subresource(key);
                needed.push(extra.version(AUTHENTICATION_VERSION).object(value));
            }
        }
        if !self.uid.is_empty() {
            let uid = impersonate(AUTHENTICATION_GROUP, "uids").object(&self.uid);
            needed.push(uid.version(AUTHENTICATION_VERSION));
        }
        Ok(needed)
    }

    /// Returns the identity as requested, without the groups that a server adds. For requests to
    /// another server, which adds them.
    ///
    /// # Errors
    /// A name cannot be asserted.
    pub fn asserted(&self) -> Result<Identity, IdentityError> {
        Identity::check(self.requested_user())
    }

    /// Returns the identity that the request gets once everything is authorized. A ServiceAccount
    /// without given groups gets its own. `system:authenticated` is added unless it or
    /// `system:unauthenticated` is already present; the anonymous user gets
    /// `system:unauthenticated`.
    ///
    /// # Errors
    /// A name cannot be asserted.
    pub fn identity(&self) -> Result<Identity, IdentityError> {
        let mut user = self.requested_user();
        if let Some(account) = ServiceAccountName::from_username(&self.user)
            && self.groups.is_empty()
        {
            user.groups = account.groups();
        }
        if user.is_anonymous() && !user.in_group(ALL_UNAUTHENTICATED) {
            user.groups.push(ALL_UNAUTHENTICATED.to_owned());
        }
        Identity::check(user.with_authenticated_group())
    }

    fn requested_user(&self) -> UserInfo {
        UserInfo {
            name: self.user.clone(),
            uid: self.uid.clone(),
            groups: self.groups.clone(),
            extra: self.extra.clone(),
        }
    }

    fn user_attributes(&self) -> Attributes {
        match ServiceAccountName::from_username(&self.user) {
            Some(account) => impersonate("", "serviceaccounts")
                .in_namespace(account.namespace)
                .object(account.name),
            None => impersonate("", "users").object(&self.user),
        }
    }

    /// Returns the object references that kube-apiserver builds, as formatted by Go's `%v`: kind,
    /// namespace, name, uid, API version, resource version and field path, separated by spaces.
    fn references_without_user(&self) -> Vec<String> {
        let version = format!("{AUTHENTICATION_GROUP}/{AUTHENTICATION_VERSION}");
        let mut references = Vec::new();
        for group in &self.groups {
            references.push(format!("{{Group  {group}    }}"));
        }
        for (key, values) in &self.extra {
            for value in values {
                references.push(format!("{{UserExtra  {value}  {version}  {key}}}"));
            }
        }
        if !self.uid.is_empty() {
            references.push(format!("{{UID  {}  {version}  }}", self.uid));
        }
        references
    }
}

fn impersonate(group: &str, resource: &str) -> Attributes {
    Attributes::resource("impersonate", group, resource)
}

#[cfg(test)]
mod tests;
