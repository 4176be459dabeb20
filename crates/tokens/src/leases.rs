//! Leases of callers that keep a watch open. The watch ends when the caller is no longer valid.

use std::sync::Arc;

use apiserver::lease::Leases;
use auth::UserInfo;
use machinery::time::Clock;

use crate::origin;
use crate::user_directory::UserDirectory;
use crate::validity::{Terms, Validity};

/// Returns the function that gives a caller a lease. The lease is valid while the user is not
/// disabled and while the token that authenticated the caller, if there was one, is valid.
pub fn leases(validity: Arc<Validity>, users: Arc<UserDirectory>, clock: Arc<dyn Clock>) -> Leases {
    Arc::new(move |caller| {
        let caller = Caller::of(caller, &validity);
        let (validity, users) = (Arc::clone(&validity), Arc::clone(&users));
        let clock = Arc::clone(&clock);
        Arc::new(move || {
            let is_disabled = users.find(&caller.name).is_some_and(|user| !user.enabled);
            let token = caller.token.as_ref();
            let holds = |(name, terms): &(String, Terms)| {
                validity.terms() == *terms && validity.holds_by_name(name, clock.now())
            };
            !is_disabled && token.is_none_or(holds)
        })
    })
}

/// The identity that authenticated a request.
struct Caller {
    name: String,
    /// The name of the authenticating token, and the terms at that time.
    token: Option<(String, Terms)>,
}

impl Caller {
    fn of(user: &UserInfo, validity: &Validity) -> Self {
        let token = origin::token_of(user);
        Self {
            name: user.name.clone(),
            token: token.map(|name| (name.to_owned(), validity.terms())),
        }
    }
}
