//! Leases of callers that keep a watch open. The watch ends when the caller is no longer valid.

use std::sync::Arc;

use apiserver::lease::Leases;
use auth::UserInfo;
use jiff::Timestamp;
use machinery::time::Clock;

use crate::origin;
use crate::user_directory::UserDirectory;
use crate::validity::{Groups, Terms, Validity};

/// Returns the function that gives a caller a lease. The lease is valid while the user is not
/// disabled and while the token that authenticated the caller, if there was one, is valid and gives
/// the same groups.
pub fn leases(validity: Arc<Validity>, users: Arc<UserDirectory>, clock: Arc<dyn Clock>) -> Leases {
    Arc::new(move |caller| {
        let caller = Caller::of(caller, &validity, clock.now());
        let (validity, users) = (Arc::clone(&validity), Arc::clone(&users));
        let clock = Arc::clone(&clock);
        Arc::new(move || {
            let is_disabled = users.find(&caller.name).is_some_and(|user| !user.enabled);
            let token = caller.token.as_ref();
            let holds = |token: &Token| {
                let groups = validity.groups_by_name(&token.name, clock.now());
                validity.terms() == token.terms && groups.is_some() && groups == token.groups
            };
            !is_disabled && token.is_none_or(holds)
        })
    })
}

/// The identity that authenticated a request.
struct Caller {
    name: String,
    /// The authenticating token, if there was one.
    token: Option<Token>,
}

/// The state of a token when it authenticated the caller.
struct Token {
    name: String,
    terms: Terms,
    groups: Option<Groups>,
}

impl Caller {
    fn of(user: &UserInfo, validity: &Validity, now: Timestamp) -> Self {
        let token = origin::token_of(user);
        Self {
            name: user.name.clone(),
            token: token.map(|name| Token {
                name: name.to_owned(),
                terms: validity.terms(),
                groups: validity.groups_by_name(name, now),
            }),
        }
    }
}
