//! The table of both kinds of binding (`pkg/printers/internalversion/printers.go`).

use apiserver::cell;
use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::{RoleRef, Subject};
use machinery::meta::ObjectMeta;
use machinery::table::Column;
use serde_json::Value;

/// The columns of a binding.
pub(super) const COLUMNS: [Column; 6] = [
    Column::NAME,
    Column::string("Role", "Kind and name of the role that is granted."),
    cell::AGE,
    Column::string("Users", "Users in the binding").wide(),
    Column::string("Groups", "Groups in the binding").wide(),
    Column::string("ServiceAccounts", "ServiceAccounts in the binding").wide(),
];

/// The cells of a binding.
pub(super) fn cells(
    metadata: &ObjectMeta,
    role: &RoleRef,
    subjects: Option<&Vec<Subject>>,
    now: Timestamp,
) -> Vec<Value> {
    let subjects = subjects.map(Vec::as_slice).unwrap_or_default();
    vec![
        cell::name(metadata),
        format!("{}/{}", role.kind, role.name).into(),
        cell::age(metadata, now),
        names(subjects, "User").into(),
        names(subjects, "Group").into(),
        names(subjects, "ServiceAccount").into(),
    ]
}

fn names(subjects: &[Subject], kind: &str) -> String {
    let names = subjects
        .iter()
        .filter(|subject| subject.kind == kind)
        .map(
            |subject| match subject.namespace.as_deref().unwrap_or_default() {
                namespace if kind == "ServiceAccount" && !namespace.is_empty() => {
                    format!("{namespace}/{}", subject.name)
                }
                _ => subject.name.clone(),
            },
        );
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(kind: &str, namespace: Option<&str>, name: &str) -> Subject {
        Subject {
            kind: kind.to_owned(),
            name: name.to_owned(),
            namespace: namespace.map(str::to_owned),
            api_group: None,
        }
    }

    #[test]
    fn subjects_are_told_by_kind() {
        let subjects = vec![
            subject("User", None, "alice"),
            subject("Group", None, "dev"),
            subject("ServiceAccount", Some("shop"), "bot"),
            subject("User", None, "bob"),
            subject("ServiceAccount", None, "here"),
        ];
        let role = RoleRef {
            kind: "ClusterRole".to_owned(),
            name: "view".to_owned(),
            api_group: None,
        };
        let metadata = ObjectMeta {
            name: Some("b".to_owned()),
            ..ObjectMeta::default()
        };
        let cells = cells(&metadata, &role, Some(&subjects), Timestamp::UNIX_EPOCH);
        let expected = [
            "b",
            "ClusterRole/view",
            "<unknown>",
            "alice, bob",
            "dev",
            "shop/bot, here",
        ];
        assert_eq!(cells, expected);
    }
}
