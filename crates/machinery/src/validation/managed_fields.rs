//! Entries of `metadata.managedFields`, and the names of field managers
//! (apimachinery `pkg/apis/meta/v1/validation`).

use crate::field::{Error, ErrorList, Path};
use crate::meta::ManagedFieldsEntry;
use crate::quote::is_print;

/// Maximum length of the name of a field manager, in bytes.
const MAX_MANAGER: usize = 128;

/// Maximum length of the name of a subresource, in bytes.
const MAX_SUBRESOURCE: usize = 256;

/// Returns the problems with the name of a field manager. It must have at most 128 bytes, all
/// characters must be printable, and it may be empty.
#[must_use]
pub fn field_manager(manager: &str, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if manager.len() > MAX_MANAGER {
        errors.push(Error::too_long(path, MAX_MANAGER));
    }
    for (position, character) in manager.char_indices() {
        if !is_print(character) {
            let code_point = u32::from(character);
            let text = format!("invalid character U+{code_point:04X} (at position {position})");
            errors.push(Error::invalid(path, manager, text));
        }
    }
    errors
}

/// Returns the problems with the entries themselves. Their field sets are not checked.
pub(super) fn managed_fields(entries: &[ManagedFieldsEntry], path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, entry) in entries.iter().enumerate() {
        let path = path.index(index);
        let operation = entry.operation.as_deref().unwrap_or_default();
        if !matches!(operation, "Apply" | "Update") {
            let text = "must be `Apply` or `Update`";
            errors.push(Error::invalid(&path.child("operation"), operation, text));
        }
        let fields_type = entry.fields_type.as_deref().unwrap_or_default();
        if !matches!(fields_type, "" | "FieldsV1") {
            let path = path.child("fieldsType");
            errors.push(Error::invalid(&path, fields_type, "must be `FieldsV1`"));
        }
        let manager = entry.manager.as_deref().unwrap_or_default();
        errors.extend(field_manager(manager, &path.child("manager")));
        if entry.subresource.as_deref().unwrap_or_default().len() > MAX_SUBRESOURCE {
            errors.push(Error::too_long(&path.child("subresource"), MAX_SUBRESOURCE));
        }
    }
    errors
}
