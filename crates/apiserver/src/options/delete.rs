//! The options of delete and deletecollection, from the body if there is one, otherwise from the
//! query.

use machinery::status::Status;
use machinery::validation;
use serde::Deserialize;

use super::invalid;
use crate::query::Query;

/// The preconditions of a delete.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Preconditions {
    /// The required UID of the object.
    pub(crate) uid: Option<String>,
    /// The required resource version of the object.
    pub(crate) resource_version: Option<String>,
}

/// The treatment of the dependents of a deleted object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Propagation {
    /// Dependents are deleted first: finalizer `foregroundDeletion`.
    Foreground,
    /// Dependents are deleted later.
    Background,
    /// Dependents are kept: finalizer `orphan`.
    Orphan,
}

/// The options of delete and deletecollection.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct DeleteOptions {
    /// True if the request must do everything except delete.
    pub(crate) dry_run: bool,
    /// The preconditions.
    pub(crate) preconditions: Preconditions,
    /// The treatment of dependents; `None` keeps the finalizers of the object.
    pub(crate) propagation: Option<Propagation>,
    /// True if the client sent `orphanDependents: false`, so that an unfinished delete responds
    /// 202.
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
    /// Parses the options. `body` is the decoded document; if it is `None` because the body is
    /// empty, the options come from the query. `gracePeriodSeconds` is ignored: no kind has a grace
    /// period.
    ///
    /// # Errors
    /// 400 for a body that is not `DeleteOptions`; 422 for invalid values.
    pub(crate) fn parse(body: Option<serde_json::Value>, query: &Query) -> Result<Self, Status> {
        let wire = match body {
            // serde would also accept an array with the fields in order.
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
