//! The options of create, update and patch.

use machinery::decode::FieldValidation;
use machinery::status::Status;
use machinery::validation;

use super::invalid;
use crate::query::Query;

/// The maximum length of a field manager's name, in bytes (`validation.FieldManagerMaxLength`).
const MANAGER_MAX_BYTES: usize = 128;

/// The mutating verb that the options belong to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum WriteKind {
    /// POST.
    Create,
    /// PUT.
    Update,
    /// PATCH that is not an apply.
    Patch,
    /// PATCH with an apply configuration.
    Apply,
}

/// The options of create, update and patch.
#[derive(Clone, Debug)]
pub(crate) struct WriteOptions {
    /// True if the request must do everything except store.
    pub(crate) dry_run: bool,
    /// The manager that owns the written fields. Derived from the user agent if the client names
    /// none.
    pub(crate) manager: String,
    /// The handling of unknown and duplicate fields.
    pub(crate) validation: FieldValidation,
    /// True if an apply takes fields over from other managers.
    pub(crate) force: bool,
}

impl WriteOptions {
    /// Parses and validates the options.
    ///
    /// # Errors
    /// 422 for the options kind of the verb.
    pub(crate) fn parse(query: &Query, kind: WriteKind, user_agent: &str) -> Result<Self, Status> {
        let dry_run: Vec<String> = query.values("dryRun").map(str::to_owned).collect();
        let sent = validation::WriteOptions {
            dry_run: &dry_run,
            field_manager: query.value("fieldManager").unwrap_or_default(),
            field_validation: query.value("fieldValidation").unwrap_or_default(),
        };
        let force = query.optional_flag("force");
        let (name, errors) = match kind {
            WriteKind::Create => ("CreateOptions", validation::write_options(&sent)),
            WriteKind::Update => ("UpdateOptions", validation::write_options(&sent)),
            WriteKind::Patch => (
                "PatchOptions",
                validation::patch_options(&sent, force, false),
            ),
            WriteKind::Apply => (
                "PatchOptions",
                validation::patch_options(&sent, force, true),
            ),
        };
        invalid(name, &errors)?;
        let manager = query.text("fieldManager");
        Ok(Self {
            manager: manager.map_or_else(|| manager_of(user_agent), str::to_owned),
            validation: FieldValidation::parse(sent.field_validation).unwrap_or_default(),
            force: force.unwrap_or(false),
            dry_run: !dry_run.is_empty(),
        })
    }
}

/// Returns the user agent up to its first slash, without control characters, at most 128 bytes
/// (apiserver `managerOrUserAgent`).
pub(crate) fn manager_of(user_agent: &str) -> String {
    let product = user_agent.split('/').next().unwrap_or_default();
    let mut manager = String::new();
    for character in product.chars().filter(|character| !character.is_control()) {
        if manager.len() + character.len_utf8() > MANAGER_MAX_BYTES {
            break;
        }
        manager.push(character);
    }
    manager
}
