//! Options of delete and deletecollection: from the body if there is one, else from the query.

use machinery::status::Status;
use machinery::validation;
use serde::Deserialize;

use super::invalid;
use crate::query::Query;

/// What must still hold for a delete to happen.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Preconditions {
    /// The object's uid.
    pub(crate) uid: Option<String>,
    /// The object's resource version.
    pub(crate) resource_version: Option<String>,
}

/// What happens to the dependents of a deleted object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Propagation {
    /// They go first: finalizer `foregroundDeletion`.
    Foreground,
    /// They go later.
    Background,
    /// They stay: finalizer `orphan`.
    Orphan,
}

/// Options of delete and deletecollection.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct DeleteOptions {
    /// Whether to do everything but delete.
    pub(crate) dry_run: bool,
    /// What must still hold.
    pub(crate) preconditions: Preconditions,
    /// What happens to dependents; `None` leaves it to the object's finalizers.
    pub(crate) propagation: Option<Propagation>,
    /// `orphanDependents: false` was sent: an unfinished delete answers 202.
    pub(crate) accepted_when_unfinished: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wire {
    kind: String,
    dry_run: Vec<String>,
    preconditions: Option<Preconditions>,
    propagation_policy: Option<String>,
    orphan_dependents: Option<bool>,
}

impl DeleteOptions {
    /// Reads the options: `body` is the decoded document, `None` for an empty body; then the query
    /// counts. `gracePeriodSeconds` is ignored: no kind here dies slowly (A134).
    ///
    /// # Errors
    /// 400 for a body that is not `DeleteOptions`, 422 for values that make no sense.
    pub(crate) fn parse(body: Option<serde_json::Value>, query: &Query) -> Result<Self, Status> {
        let wire = match body {
            // serde would take a list for the fields in their order.
            Some(body) if !body.is_object() => {
                return Err(Status::bad_request(
                    "the body of a delete must be DeleteOptions",
                ));
            }
            Some(body) => serde_json::from_value::<Wire>(body)
                .map_err(|error| Status::bad_request(format!("invalid DeleteOptions: {error}")))?,
            None => Wire {
                dry_run: query.values("dryRun").map(str::to_owned).collect(),
                propagation_policy: query.text("propagationPolicy").map(str::to_owned),
                orphan_dependents: query.optional_flag("orphanDependents"),
                ..Wire::default()
            },
        };
        if !matches!(wire.kind.as_str(), "" | "DeleteOptions") {
            return Err(Status::bad_request(format!(
                "the body of a delete must be DeleteOptions, not {}",
                wire.kind
            )));
        }
        let policy = wire.propagation_policy.as_deref();
        let errors = validation::delete_options(wire.orphan_dependents, policy, &wire.dry_run);
        invalid("DeleteOptions", &errors)?;
        Ok(wire.into_options())
    }
}

impl Wire {
    fn into_options(self) -> DeleteOptions {
        let propagation = match (self.propagation_policy.as_deref(), self.orphan_dependents) {
            (Some("Foreground"), _) => Some(Propagation::Foreground),
            (Some("Orphan"), _) | (None, Some(true)) => Some(Propagation::Orphan),
            (Some(_), _) | (None, Some(false)) => Some(Propagation::Background),
            (None, None) => None,
        };
        DeleteOptions {
            dry_run: !self.dry_run.is_empty(),
            preconditions: self.preconditions.unwrap_or_default(),
            propagation,
            accepted_when_unfinished: self.orphan_dependents == Some(false),
        }
    }
}
