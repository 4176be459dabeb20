//! Options of requests, from the parameters of a URL or a `DeleteOptions` body (apimachinery
//! `pkg/apis/meta/v1/validation`, `pkg/apis/meta/internalversion/validation`).
//!
//! Invalid options are a 422 whose details name `CreateOptions`, `ListOptions` and so on.

use crate::field::{BadValue, Error, ErrorList, Path};

use super::field_manager;

/// Options of create, update and patch.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriteOptions<'a> {
    /// Values of `dryRun`.
    pub dry_run: &'a [String],
    /// `fieldManager`; empty when not given.
    pub field_manager: &'a str,
    /// `fieldValidation`; empty when not given.
    pub field_validation: &'a str,
}

/// Options of list and watch that depend on each other.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListOptions<'a> {
    /// `resourceVersion`; empty when not given.
    pub resource_version: &'a str,
    /// `resourceVersionMatch`; empty when not given.
    pub resource_version_match: &'a str,
    /// `continue`; empty when not given.
    pub continue_: &'a str,
    /// `sendInitialEvents`.
    pub send_initial_events: Option<bool>,
}

/// Returns the problems with the options that create, update and patch have in common.
#[must_use]
pub fn write_options(options: &WriteOptions<'_>) -> ErrorList {
    let mut errors = field_manager(options.field_manager, &Path::root("fieldManager"));
    errors.extend(dry_run(options.dry_run));
    let allowed = ["", "Ignore", "Strict", "Warn"];
    if !allowed.contains(&options.field_validation) {
        let path = Path::root("fieldValidation");
        errors.push(Error::not_supported(
            &path,
            options.field_validation,
            &allowed,
        ));
    }
    errors
}

/// Returns the problems with the options of a patch. `force` is the parameter, and `apply` is true
/// for a server-side apply.
#[must_use]
pub fn patch_options(options: &WriteOptions<'_>, force: Option<bool>, apply: bool) -> ErrorList {
    let mut errors = ErrorList::new();
    if apply && options.field_manager.is_empty() {
        let path = Path::root("fieldManager");
        errors.push(Error::required(&path, "is required for apply patch"));
    }
    if !apply && force.is_some() {
        let path = Path::root("force");
        errors.push(Error::forbidden(
            &path,
            "may not be specified for non-apply patch",
        ));
    }
    errors.extend(write_options(options));
    errors
}

/// Returns the problems with the options of a delete. The deprecated `orphanDependents` and
/// `propagationPolicy` exclude each other.
#[must_use]
pub fn delete_options(
    orphan_dependents: Option<bool>,
    propagation_policy: Option<&str>,
    dry_run_values: &[String],
) -> ErrorList {
    let path = Path::root("propagationPolicy");
    let mut errors = ErrorList::new();
    if let Some(policy) = propagation_policy {
        if orphan_dependents.is_some() {
            let text = "orphanDependents and deletionPropagation cannot be both set";
            errors.push(Error::invalid(&path, BadValue::json(&policy), text));
        }
        if !matches!(policy, "Foreground" | "Background" | "Orphan") {
            let supported = ["Foreground", "Background", "Orphan", "nil"];
            errors.push(Error::not_supported(
                &path,
                BadValue::json(&policy),
                &supported,
            ));
        }
    }
    errors.extend(dry_run(dry_run_values));
    errors
}

/// Returns the problems with the options of a list or a collection delete.
#[must_use]
pub fn list_options(options: &ListOptions<'_>) -> ErrorList {
    let path = Path::root("resourceVersionMatch");
    let version_match = options.resource_version_match;
    let mut errors = ErrorList::new();
    if !version_match.is_empty() && options.resource_version.is_empty() {
        let text = "resourceVersionMatch is forbidden unless resourceVersion is provided";
        errors.push(Error::forbidden(&path, text));
    }
    errors.extend(match_with_continue(options, &path));
    if !matches!(version_match, "" | "Exact" | "NotOlderThan") {
        let supported = ["Exact", "NotOlderThan", ""];
        errors.push(Error::not_supported(
            &path,
            BadValue::json(&version_match),
            &supported,
        ));
    }
    if version_match == "Exact" && options.resource_version == "0" {
        let text = r#"resourceVersionMatch "exact" is forbidden for resourceVersion "0""#;
        errors.push(Error::forbidden(&path, text));
    }
    if options.send_initial_events.is_some() {
        let path = Path::root("sendInitialEvents");
        errors.push(Error::forbidden(
            &path,
            "sendInitialEvents is forbidden for list",
        ));
    }
    errors
}

/// Returns the problems with the options of a watch. `watch_list` is true if the server can begin a
/// watch with the current objects. If it is false, the error text makes client-go fall back to a
/// list.
#[must_use]
pub fn watch_options(options: &ListOptions<'_>, watch_list: bool) -> ErrorList {
    let path = Path::root("resourceVersionMatch");
    let version_match = options.resource_version_match;
    let sends_initial_events = options.send_initial_events.is_some();
    let mut errors = ErrorList::new();
    if sends_initial_events && version_match != "NotOlderThan" {
        let text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        errors.push(Error::forbidden(&path, text));
    }
    if sends_initial_events && !watch_list {
        let text = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is \
                    enabled";
        errors.push(Error::forbidden(&Path::root("sendInitialEvents"), text));
    }
    if !version_match.is_empty() && !sends_initial_events {
        let text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is \
                    provided";
        errors.push(Error::forbidden(&path, text));
    }
    if !matches!(version_match, "" | "NotOlderThan") {
        let value = BadValue::json(&version_match);
        errors.push(Error::not_supported(&path, value, &["NotOlderThan"]));
    }
    errors.extend(match_with_continue(options, &path));
    errors
}

fn match_with_continue(options: &ListOptions<'_>, path: &Path) -> Option<Error> {
    let both = !options.resource_version_match.is_empty() && !options.continue_.is_empty();
    let text = "resourceVersionMatch is forbidden when continue is provided";
    both.then(|| Error::forbidden(path, text))
}

fn dry_run(values: &[String]) -> Option<Error> {
    let path = Path::root("dryRun");
    let known = values.iter().all(|value| value == "All");
    (!known).then(|| Error::not_supported(&path, values, &["All"]))
}

#[cfg(test)]
mod tests;
