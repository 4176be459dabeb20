//! Authentication: from the credentials of a connection and a request to a user.
//!
//! An [`Authenticator`] checks one kind of credential and returns one of three results. [`Union`]
//! asks several authenticators in order. The first success wins, and later authenticators are still
//! asked after an earlier one failed. A request without credentials stays
//! [`Authentication::NotRequested`]. The calling code decides, by route, whether such a request may
//! continue as the anonymous user ([`Authentication::or_anonymous`]). A failed credential never
//! becomes anonymous.
//!
//! Follows `k8s.io/apiserver/pkg/authentication/request/union` and `authenticatorfactory`.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use rustls::pki_types::CertificateDer;

use crate::identity::Identity;
use crate::login::Login;
use crate::request_headers::RequestHeaders;
use crate::user::UserInfo;

/// The parts of a request that can prove the identity of its caller.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The TLS client certificate chain, leaf first, unverified; empty if none was presented.
    pub certificates: &'a [CertificateDer<'static>],
    /// The bearer token, without its scheme ([`crate::bearer`]).
    pub bearer: Option<&'a str>,
    /// The headers of the request. They prove an identity only if a certificate vouches for them.
    pub headers: &'a dyn RequestHeaders,
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("certificates", &self.certificates.len())
            .field("bearer", &self.bearer.map(|_| "[redacted]"))
            .finish_non_exhaustive()
    }
}

/// The result of an authenticator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// The request carries no credential of this kind.
    NotRequested,
    /// The credential proves this identity, which has been checked: see [`Authentication::of`].
    Authenticated(Identity),
    /// The credential is invalid. The reason is for the log.
    Failed(FailureReason),
}

impl Authentication {
    /// Returns the result for a credential that proves this user. It is a failure if the identity
    /// cannot be asserted unchanged to another server.
    pub fn of(user: UserInfo) -> Self {
        match Identity::check(user) {
            Ok(identity) => Self::Authenticated(identity),
            Err(error) => Self::failed(error.to_string()),
        }
    }

    /// Like [`Authentication::of`], for a user who logged in.
    pub fn by_login(user: UserInfo, login: Login) -> Self {
        match Self::of(user) {
            Self::Authenticated(identity) => Self::Authenticated(identity.with_login(login)),
            failed => failed,
        }
    }

    /// Returns a failure with this reason.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self::Failed(FailureReason::new(reason))
    }

    /// Treats a request without any credential as the anonymous user. A failure stays a failure.
    #[must_use]
    pub fn or_anonymous(self) -> Self {
        match self {
            Self::NotRequested => Self::Authenticated(Identity::anonymous()),
            Self::Authenticated(_) | Self::Failed(_) => self,
        }
    }
}

/// The reason that a credential was rejected. It is for the log and never for the client, which
/// gets a uniform 401. It holds no credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureReason(String);

impl FailureReason {
    /// Creates a reason from the text of an authenticator: lower case, without a full stop.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Verifies one kind of credential.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// Returns a name for the log, such as `client certificate`.
    fn name(&self) -> &'static str;

    /// Returns the identity that these credentials prove. The result depends on nothing else in the
    /// request. Dropping the future has no effect.
    async fn authenticate(&self, credentials: &Credentials<'_>) -> Authentication;

    /// Returns whether it reads an identity from the header of this name (in any case). Such
    /// headers are removed from every request once its caller is known, whichever authenticator
    /// recognised the caller.
    fn reads_header(&self, _name: &str) -> bool {
        false
    }
}

/// A chain of authenticators, asked in order.
///
/// * The first success wins, and the user is added to the group `system:authenticated`.
/// * Without a success, a single failure makes the result a failure. All reasons are collected.
/// * A bearer token that no authenticator recognises is a failure.
pub struct Union {
    authenticators: Vec<Arc<dyn Authenticator>>,
}

impl Union {
    /// Creates a chain that asks `authenticators` in this order.
    pub fn new(authenticators: Vec<Arc<dyn Authenticator>>) -> Self {
        Self { authenticators }
    }
}

#[async_trait]
impl Authenticator for Union {
    fn name(&self) -> &'static str {
        "union"
    }

    async fn authenticate(&self, credentials: &Credentials<'_>) -> Authentication {
        let mut failures = Vec::new();
        for authenticator in &self.authenticators {
            let name = authenticator.name();
            match authenticator.authenticate(credentials).await {
                Authentication::NotRequested => {}
                Authentication::Failed(reason) => failures.push(format!("{name}: {reason}")),
                Authentication::Authenticated(identity) => {
                    return Authentication::Authenticated(identity.with_authenticated_group());
                }
            }
        }
        if failures.is_empty() && credentials.bearer.is_some() {
            failures.push("no authenticator accepts the bearer token".to_owned());
        }
        if failures.is_empty() {
            return Authentication::NotRequested;
        }
        Authentication::failed(failures.join("; "))
    }

    fn reads_header(&self, name: &str) -> bool {
        let mut all = self.authenticators.iter();
        all.any(|authenticator| authenticator.reads_header(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request_headers::NoHeaders;

    struct Fixed(&'static str, Authentication);

    #[async_trait]
    impl Authenticator for Fixed {
        fn name(&self) -> &'static str {
            self.0
        }

        async fn authenticate(&self, _: &Credentials<'_>) -> Authentication {
            self.1.clone()
        }
    }

    fn authenticated(name: &str) -> Authentication {
        Authentication::of(UserInfo::named(name))
    }

    fn authenticated_with_group(name: &str) -> Authentication {
        Authentication::of(UserInfo::named(name).with_authenticated_group())
    }

    async fn ask(
        answers: &[(&'static str, Authentication)],
        bearer: Option<&str>,
    ) -> Authentication {
        let authenticators = answers
            .iter()
            .map(|(name, answer)| Arc::new(Fixed(name, answer.clone())) as Arc<dyn Authenticator>)
            .collect();
        let credentials = Credentials {
            certificates: &[],
            bearer,
            headers: &NoHeaders,
        };
        Union::new(authenticators).authenticate(&credentials).await
    }

    #[tokio::test]
    async fn first_success_wins_and_joins_the_authenticated_group() {
        let answers = [("a", authenticated("alice")), ("b", authenticated("bob"))];
        assert_eq!(ask(&answers, None).await, authenticated_with_group("alice"));
    }

    #[tokio::test]
    async fn success_after_a_failure_still_counts() {
        let answers = [
            ("a", Authentication::failed("expired")),
            ("b", authenticated("bob")),
        ];
        assert_eq!(ask(&answers, None).await, authenticated_with_group("bob"));
    }

    #[tokio::test]
    async fn failures_are_collected_and_never_become_anonymous() {
        let answers = [
            ("a", Authentication::failed("expired")),
            ("b", Authentication::NotRequested),
            ("c", Authentication::failed("revoked")),
        ];
        let outcome = ask(&answers, None).await.or_anonymous();
        assert_eq!(outcome, Authentication::failed("a: expired; c: revoked"));
    }

    #[tokio::test]
    async fn anonymous_only_where_asked_for() {
        let answers = [("a", Authentication::NotRequested)];
        let outcome = ask(&answers, None).await;
        assert_eq!(outcome, Authentication::NotRequested);
        assert_eq!(
            outcome.or_anonymous(),
            Authentication::Authenticated(Identity::anonymous())
        );
    }

    #[tokio::test]
    async fn bearer_that_nobody_knows_is_a_failure() {
        let outcome = ask(&[("a", Authentication::NotRequested)], Some("nothing")).await;
        let expected = Authentication::failed("no authenticator accepts the bearer token");
        assert_eq!(outcome.or_anonymous(), expected);
    }

    #[tokio::test]
    async fn an_identity_that_cannot_be_asserted_is_a_failure() {
        for (name, reason) in [
            ("", r#"a: user name "" must not be empty"#),
            (
                " system:admin",
                r#"a: user name " system:admin" must not begin or end with white space"#,
            ),
            (
                "System:admin",
                "a: user name \"System:admin\" must not be another spelling of a name that begins with \"system:\"",
            ),
        ] {
            let outcome = ask(&[("a", authenticated(name))], None).await;
            assert_eq!(outcome, Authentication::failed(reason));
        }
    }

    #[test]
    fn debug_output_hides_the_bearer_token() {
        let credentials = Credentials {
            certificates: &[],
            bearer: Some("secret"),
            headers: &NoHeaders,
        };
        assert_eq!(
            format!("{credentials:?}"),
            r#"Credentials { certificates: 0, bearer: Some("[redacted]"), .. }"#
        );
    }
}
