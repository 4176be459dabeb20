//! The containment of stolen tokens, former users and lost rights, behind a host, whose users, RBAC
//! and objects are decisive.

use e2e::Host;

use crate::containment::{self, Place};

#[test]
fn what_was_taken_away_opens_nothing() {
    let host = Host::start().unwrap();
    let place = Place::of(&host);
    containment::each_token_opens_one_cluster(&place);
    containment::a_stolen_token_is_contained(&place);
    containment::a_right_that_is_taken_away_ends_access(&place);
    containment::an_administrator_has_the_last_word(&place);
    containment::a_disabled_user_does_nothing(&place);
    containment::names_are_not_identities(&place);
}
