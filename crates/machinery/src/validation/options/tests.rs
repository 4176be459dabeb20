use super::{
    ListOptions, WriteOptions, delete_options, list_options, patch_options, watch_options,
    write_options,
};
use crate::field::Error;

#[track_caller]
fn check(errors: &[Error], expected: &[&str]) {
    assert_eq!(
        errors.iter().map(Error::to_string).collect::<Vec<_>>(),
        expected
    );
}

#[test]
fn writes_know_few_values() {
    check(&write_options(&WriteOptions::default()), &[]);
    let all = ["All".to_owned(), "All".to_owned()];
    let options = WriteOptions {
        dry_run: &all,
        field_manager: "kubectl",
        field_validation: "Strict",
    };
    check(&write_options(&options), &[]);
    let none = ["None".to_owned()];
    let manager = "m".repeat(129);
    let options = WriteOptions {
        dry_run: &none,
        field_manager: &manager,
        field_validation: "Loose",
    };
    check(
        &write_options(&options),
        &[
            "fieldManager: Too long: may not be more than 128 bytes",
            r#"dryRun: Unsupported value: ["None"]: supported values: "All""#,
            r#"fieldValidation: Unsupported value: "Loose": supported values: "", "Ignore", "Strict", "Warn""#,
        ],
    );
    let options = WriteOptions {
        field_manager: "m\n",
        ..WriteOptions::default()
    };
    check(
        &write_options(&options),
        &[r#"fieldManager: Invalid value: "m\n": invalid character U+000A (at position 1)"#],
    );
}

#[test]
fn only_apply_has_a_manager_and_force() {
    let named = WriteOptions {
        field_manager: "m",
        ..WriteOptions::default()
    };
    check(&patch_options(&named, Some(true), true), &[]);
    check(&patch_options(&WriteOptions::default(), None, false), &[]);
    check(
        &patch_options(&WriteOptions::default(), None, true),
        &["fieldManager: Required value: is required for apply patch"],
    );
    check(
        &patch_options(&named, Some(false), false),
        &["force: Forbidden: may not be specified for non-apply patch"],
    );
}

#[test]
fn deletes_have_one_way_with_dependents() {
    check(&delete_options(None, Some("Orphan"), &[]), &[]);
    check(&delete_options(Some(true), None, &[]), &[]);
    check(
        &delete_options(Some(true), Some("Never"), &["x".to_owned()]),
        &[
            r#"propagationPolicy: Invalid value: "Never": orphanDependents and deletionPropagation cannot be both set"#,
            r#"propagationPolicy: Unsupported value: "Never": supported values: "Foreground", "Background", "Orphan", "nil""#,
            r#"dryRun: Unsupported value: ["x"]: supported values: "All""#,
        ],
    );
}

#[track_caller]
fn check_list(options: ListOptions<'_>, expected: &[&str]) {
    check(&list_options(&options), expected);
}

#[test]
fn lists_match_versions_that_are_given() {
    let exact = ListOptions {
        resource_version: "7",
        resource_version_match: "Exact",
        ..ListOptions::default()
    };
    check_list(ListOptions::default(), &[]);
    check_list(exact, &[]);
    check_list(
        ListOptions {
            resource_version: "",
            ..exact
        },
        &[
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless \
           resourceVersion is provided",
        ],
    );
    check_list(
        ListOptions {
            continue_: "token",
            ..exact
        },
        &[
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is \
           provided",
        ],
    );
    check_list(
        ListOptions {
            resource_version: "0",
            ..exact
        },
        &[
            r#"resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0""#,
        ],
    );
    check_list(
        ListOptions {
            resource_version_match: "Newest",
            ..exact
        },
        &[
            r#"resourceVersionMatch: Unsupported value: "Newest": supported values: "Exact", "NotOlderThan", """#,
        ],
    );
    check_list(
        ListOptions {
            send_initial_events: Some(false),
            ..exact
        },
        &["sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"],
    );
}

#[track_caller]
fn check_watch(options: ListOptions<'_>, watch_list: bool, expected: &[&str]) {
    check(&watch_options(&options, watch_list), expected);
}

#[test]
fn watches_match_versions_only_with_initial_events() {
    let streaming = ListOptions {
        resource_version_match: "NotOlderThan",
        send_initial_events: Some(true),
        ..ListOptions::default()
    };
    check_watch(ListOptions::default(), false, &[]);
    check_watch(streaming, true, &[]);
    check_watch(
        streaming,
        false,
        &[
            "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the \
           WatchList feature gate is enabled",
        ],
    );
    check_watch(
        ListOptions {
            resource_version_match: "",
            ..streaming
        },
        true,
        &[
            "resourceVersionMatch: Forbidden: sendInitialEvents requires setting \
           resourceVersionMatch to NotOlderThan",
        ],
    );
    check_watch(
        ListOptions {
            send_initial_events: None,
            ..streaming
        },
        true,
        &[
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless \
           sendInitialEvents is provided",
        ],
    );
    check_watch(
        ListOptions {
            resource_version_match: "Exact",
            continue_: "t",
            ..streaming
        },
        true,
        &[
            "resourceVersionMatch: Forbidden: sendInitialEvents requires setting \
           resourceVersionMatch to NotOlderThan",
            r#"resourceVersionMatch: Unsupported value: "Exact": supported values: "NotOlderThan""#,
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is \
           provided",
        ],
    );
}
