//! The errors of an apply, with the texts of kube-apiserver.
//!
//! Source: `managedfields/internal/conflict.go` of k8s.io/apimachinery.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::StatusCause;

use super::path::Path;

/// The reason why an apply is rejected.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ApplyError {
    /// The configuration changes fields that belong to other managers: 409 `Conflict`. Never empty;
    /// sorted by manager, then field.
    #[error("{}", conflict_message(.0))]
    Conflicts(Vec<Conflict>),
    /// The configuration contradicts the schema, or has a list item that cannot be identified.
    #[error("{0}")]
    Invalid(String),
}

/// A field that another manager owns.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Conflict {
    /// The owner, formatted as in messages, e.g. `"m"` or `"m" with subresource "status" using v1`.
    pub manager: String,
    /// The path, formatted as in messages, e.g. `.spec.replicas`.
    pub field: String,
    pub(super) path: Path,
}

impl ApplyError {
    /// Returns the message of the Status.
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// Returns the causes of the Status: one per conflict, and no causes for an invalid
    /// configuration.
    pub fn causes(&self) -> Vec<StatusCause> {
        match self {
            Self::Conflicts(conflicts) => conflicts.iter().map(Conflict::cause).collect(),
            Self::Invalid(_) => Vec::new(),
        }
    }
}

impl Conflict {
    fn cause(&self) -> StatusCause {
        StatusCause {
            reason: Some("FieldManagerConflict".to_owned()),
            message: Some(format!("conflict with {}", self.manager)),
            field: Some(self.field.clone()),
        }
    }
}

fn conflict_message(conflicts: &[Conflict]) -> String {
    if let [Conflict { manager, field, .. }] = conflicts {
        return format!("Apply failed with 1 conflict: conflict with {manager}: {field}");
    }
    let groups = conflicts
        .chunk_by(|one, next| one.manager == next.manager)
        .map(|group| {
            let fields: Vec<_> = group
                .iter()
                .map(|conflict| format!("\n- {}", conflict.field))
                .collect();
            format!("conflicts with {}:{}", group[0].manager, fields.concat())
        });
    let groups: Vec<_> = groups.collect();
    format!(
        "Apply failed with {} conflicts: {}",
        conflicts.len(),
        groups.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(conflicts: &[(&str, &str)], message: &str) {
        let conflicts = conflicts.iter().map(|&(manager, field)| Conflict {
            manager: manager.to_owned(),
            field: field.to_owned(),
            path: Path::default(),
        });
        assert_eq!(
            ApplyError::Conflicts(conflicts.collect()).message(),
            message
        );
    }

    #[test]
    fn messages_are_those_of_kube_apiserver() {
        check(
            &[("\"m\"", ".spec.x")],
            "Apply failed with 1 conflict: conflict with \"m\": .spec.x",
        );
        check(
            &[
                ("\"m\"", ".spec.a"),
                ("\"m\"", ".spec.b"),
                ("\"n\" using v1", ".spec.c"),
            ],
            "Apply failed with 3 conflicts: conflicts with \"m\":\n- .spec.a\n- .spec.b\n\
             conflicts with \"n\" using v1:\n- .spec.c",
        );
    }

    #[test]
    fn causes_name_manager_and_field() {
        let conflict = Conflict {
            manager: "\"m\"".to_owned(),
            field: ".spec.x".to_owned(),
            path: Path::of_fields(["spec", "x"]),
        };
        let cause = StatusCause {
            reason: Some("FieldManagerConflict".to_owned()),
            message: Some("conflict with \"m\"".to_owned()),
            field: Some(".spec.x".to_owned()),
        };
        assert_eq!(ApplyError::Conflicts(vec![conflict]).causes(), [cause]);
        assert_eq!(ApplyError::Invalid("no".to_owned()).causes(), []);
    }
}
