//! Validation of names, labels, object metadata and request options (apimachinery
//! `pkg/api/validation`, `pkg/api/validate/content`).
//!
//! Functions on one text return its problems as texts, and an empty list if it is valid. Functions
//! on metadata return a [`field::ErrorList`](crate::field::ErrorList) with paths below `metadata`.
//! Further rules of a kind belong to that kind.

mod finalizers;
mod labels;
mod managed_fields;
mod names;
mod object_meta;
mod options;
mod owner_references;

pub use self::labels::{annotations, label_key, label_value, labels};
pub use self::managed_fields::field_manager;
pub use self::names::{NameRule, dns1123_label, dns1123_subdomain, path_segment_name};
pub use self::object_meta::{object_meta_create, object_meta_update};
pub use self::options::{
    ListOptions, WriteOptions, delete_options, list_options, patch_options, watch_options,
    write_options,
};

/// Returns a message about the required form, with examples and the regular expression, as upstream
/// does.
fn pattern(message: &str, regex: &str, examples: &[&str]) -> String {
    // Upstream joins the examples like this, with two blanks.
    let quoted: Vec<String> = examples
        .iter()
        .map(|example| format!("'{example}', "))
        .collect();
    format!(
        "{message} (e.g. {}regex used for validation is '{regex}')",
        quoted.join(" or ")
    )
}

fn too_long(max: usize) -> String {
    format!("must be no more than {max} bytes")
}
