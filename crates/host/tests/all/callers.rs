//! Callers with their credentials, and a manual clock.

use std::sync::Arc;
use std::time::Duration;

use auth::{Authentication, Authenticator, Credentials, RequestHeaders, UserInfo};
use jiff::Timestamp;
use machinery::testing::ManualClock;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Time limit for a change at the host to take effect; it takes some milliseconds.
const LIMIT: Duration = Duration::from_secs(60);

/// Returns a clock that a test advances.
pub(crate) fn clock() -> Arc<ManualClock> {
    ManualClock::at(Timestamp::constant(1_767_225_600, 0))
}

/// The credentials of a request.
#[derive(Clone, Default)]
pub(crate) struct Caller {
    certificates: Vec<CertificateDer<'static>>,
    bearer: Option<String>,
    headers: Vec<(&'static str, &'static str)>,
}

impl Caller {
    pub(crate) fn with_token(token: &str) -> Self {
        Self {
            bearer: Some(token.to_owned()),
            ..Self::default()
        }
    }

    pub(crate) fn with_certificate(pem: &str) -> Self {
        Self {
            certificates: vec![CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()],
            ..Self::default()
        }
    }

    /// Returns the same caller with these headers.
    pub(crate) fn naming(mut self, headers: &[(&'static str, &'static str)]) -> Self {
        self.headers = headers.to_vec();
        self
    }

    /// Returns the result without its login.
    pub(crate) async fn ask(&self, authenticator: &dyn Authenticator) -> Authentication {
        let credentials = Credentials {
            certificates: &self.certificates,
            bearer: self.bearer.as_deref(),
            headers: self,
        };
        match authenticator.authenticate(&credentials).await {
            Authentication::Authenticated(identity) => Authentication::of(identity.into_user()),
            other => other,
        }
    }
}

impl RequestHeaders for Caller {
    fn entries(&self) -> Box<dyn Iterator<Item = (&str, &[u8])> + '_> {
        let headers = self.headers.iter();
        Box::new(headers.map(|(name, value)| (*name, value.as_bytes())))
    }
}

pub(crate) fn is(user: UserInfo) -> Authentication {
    Authentication::of(user)
}

pub(crate) fn is_refused(outcome: &Authentication) -> bool {
    matches!(outcome, Authentication::Failed(_))
}

/// Waits until the condition holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(LIMIT, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.expect(what);
}
