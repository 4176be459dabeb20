//! The state of records that are turned off, and the rules for turning them on again.
//!
//! An owner may turn a record off and on at any time. If an administrator turned it off, only an
//! administrator may turn it on. A condition of the record states which of the two turned it off.
//!
//! Turning a record on requires a login: an owner turns a record off because it was stolen, and the
//! thief may have another one. With a token of a kubeconfig, records can only be turned off.

use api::Condition;
use apiserver::description::Verb;
use apiserver::request_context::RequestContext;
use apiserver::resource::{Visibility, owner_visibility};
use jiff::Timestamp;
use machinery::meta::Time;
use machinery::status::Status;

use crate::origin::token_of;

/// The reason of a condition that is caused by the owner of the record.
const BY_OWNER: &str = "ByOwner";

/// The reason of a condition that is caused by an administrator.
const BY_ADMINISTRATOR: &str = "ByAdministrator";

/// A change of a record that may turn it off or on.
#[derive(Clone, Copy, Debug)]
pub struct Suspension<'a> {
    /// The type of the condition, such as `Suspended`.
    pub condition: &'static str,
    /// The owner of the record.
    pub owner: &'a str,
    /// True if the record was off before the change.
    pub was_off: bool,
    /// True if the record is off after the change.
    pub is_off: bool,
}

impl Suspension<'_> {
    /// Returns whether the change turns the record off.
    pub fn turns_off(&self) -> bool {
        self.is_off && !self.was_off
    }

    /// Maintains the condition that states which user turned the record off. If an administrator
    /// updates a record that its owner turned off, the condition changes to the administrator.
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

    /// Checks that the caller may turn the record on. `conditions` are those of its live state.
    ///
    /// # Errors
    /// The reason for the rejection, for a 403; a Status if the authorizer fails.
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

/// The reason that a record stays off.
#[derive(Debug, thiserror::Error)]
pub enum SuspensionError {
    /// An administrator turned the record off, and the caller is not an administrator.
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
    /// Converts the error into the response for a record of this resource and name.
    pub fn into_status(self, resource: &machinery::meta::GroupResource, name: &str) -> Status {
        match self {
            Self::Undecided(status) => *status,
            refused @ (Self::NeedsAdministrator { .. } | Self::NeedsLogin { .. }) => {
                Status::forbidden(resource, name, &refused.to_string())
            }
        }
    }
}
