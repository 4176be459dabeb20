//! A record that is turned off, and who may turn it on again.
//!
//! An owner may turn a record off and on at any time. What an administrator turned off, only an administrator turns on. A condition of
//! the record says who did it.
//!
//! Turning a record on needs a login: an owner turns a record off because it was stolen, and a thief may have another one. With a token of a
//! kubeconfig, records can only be turned off.

use api::Condition;
use apiserver::description::Verb;
use apiserver::request_context::RequestContext;
use apiserver::resource::{Visibility, owner_visibility};
use jiff::Timestamp;
use machinery::meta::Time;
use machinery::status::Status;

use crate::origin::token_of;

/// The reason of a condition that the owner of the record caused.
const BY_OWNER: &str = "ByOwner";

/// The reason of a condition that an administrator caused.
const BY_ADMINISTRATOR: &str = "ByAdministrator";

/// A change of a record that may turn it off or on.
#[derive(Clone, Copy, Debug)]
pub struct Suspension<'a> {
    /// The type of the condition, such as `Suspended`.
    pub condition: &'static str,
    /// The owner of the record.
    pub owner: &'a str,
    /// Whether the record was off before.
    pub was_off: bool,
    /// Whether the record is off afterwards.
    pub is_off: bool,
}

impl Suspension<'_> {
    /// Returns whether the change turns the record off.
    pub fn turns_off(&self) -> bool {
        self.is_off && !self.was_off
    }

    /// Keeps the condition that says who turned the record off. An administrator who writes a record
    /// that its owner turned off takes that over.
    pub fn note(&self, cx: &RequestContext, conditions: &mut Vec<Condition>, now: Timestamp) {
        let known = conditions
            .iter()
            .position(|known| known.type_ == self.condition);
        if !self.is_off {
            if let Some(known) = known {
                conditions.remove(known);
            }
            return;
        }
        let user = cx.user.name.as_str();
        let reason = match user == self.owner {
            true => BY_OWNER,
            false => BY_ADMINISTRATOR,
        };
        let is_new = !self.was_off;
        match known {
            Some(known) if !is_new && conditions[known].reason == BY_ADMINISTRATOR => return,
            None if !is_new && reason == BY_OWNER => return,
            Some(known) => drop(conditions.remove(known)),
            None => {}
        }
        conditions.push(Condition {
            reason: reason.to_owned(),
            ..Condition::holds(self.condition, format!("by {user}"), Time(now))
        });
    }

    /// Checks that the caller may turn the record on; `conditions` are those of its live state.
    ///
    /// # Errors
    /// The reason of the refusal, for a 403; a Status where the authorizer fails.
    pub async fn check(
        &self,
        cx: &RequestContext,
        conditions: &[Condition],
    ) -> Result<(), SuspensionError> {
        if !self.was_off || self.is_off {
            return Ok(());
        }
        if token_of(&cx.authenticated).is_some() {
            return Err(SuspensionError::NeedsLogin {
                condition: self.condition,
            });
        }
        let mut conditions = conditions.iter();
        let cause = conditions.find(|known| known.type_ == self.condition);
        let Some(cause) = cause.filter(|cause| cause.reason == BY_ADMINISTRATOR) else {
            return Ok(());
        };
        match owner_visibility(cx, Verb::Update, "").await? {
            Visibility::Everything => Ok(()),
            _ => Err(SuspensionError::NeedsAdministrator {
                condition: self.condition,
                cause: cause.message.clone(),
            }),
        }
    }
}

/// The reason why a record stays off.
#[derive(Debug, thiserror::Error)]
pub enum SuspensionError {
    /// An administrator turned it off, and the caller is none.
    #[error("it is {} {cause}: only an administrator may change that", condition.to_lowercase())]
    NeedsAdministrator {
        /// The type of the condition.
        condition: &'static str,
        /// The message of the condition.
        cause: String,
    },
    /// A token of a kubeconfig authenticated the request.
    #[error("it is {}, and a token of a kubeconfig may not change that: log in instead, for example with a client certificate or an ID token", condition.to_lowercase())]
    NeedsLogin {
        /// The type of the condition.
        condition: &'static str,
    },
    /// The authorizer could not decide.
    #[error("the authorizer could not decide")]
    Undecided(Box<Status>),
}

impl From<Status> for SuspensionError {
    fn from(status: Status) -> Self {
        Self::Undecided(Box::new(status))
    }
}

impl SuspensionError {
    /// The answer to the client, for a record of this resource and name.
    pub fn into_status(self, resource: &machinery::meta::GroupResource, name: &str) -> Status {
        match self {
            Self::Undecided(status) => *status,
            refused @ (Self::NeedsAdministrator { .. } | Self::NeedsLogin { .. }) => {
                Status::forbidden(resource, name, &refused.to_string())
            }
        }
    }
}
