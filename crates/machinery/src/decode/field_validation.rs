/// What to do about unknown and duplicate fields (`fieldValidation` of metav1's CreateOptions, KEP-2885).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum FieldValidation {
    /// Drop them silently.
    Ignore,
    /// Drop them with a warning each.
    #[default]
    Warn,
    /// Refuse the request.
    Strict,
}

impl FieldValidation {
    /// The accepted spellings, as an error should list them.
    pub const VALUES: [&str; 4] = ["", "Ignore", "Strict", "Warn"];

    /// Reads the query parameter; an empty one means the default. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "Ignore" => Some(FieldValidation::Ignore),
            "" | "Warn" => Some(FieldValidation::Warn),
            "Strict" => Some(FieldValidation::Strict),
            _ => None,
        }
    }
}

/// One line per field, e.g. `unknown field "spec.foo"`: warnings under [`FieldValidation::Warn`].
pub fn warnings(unknown: &[String], duplicates: &[String]) -> Vec<String> {
    let unknown = unknown.iter().map(|path| format!("unknown field {path:?}"));
    let duplicates = duplicates
        .iter()
        .map(|path| format!("duplicate field {path:?}"));
    unknown.chain(duplicates).collect()
}

/// The one error under [`FieldValidation::Strict`], e.g. `strict decoding error: unknown field "spec.foo"`.
pub fn strict_error_text(unknown: &[String], duplicates: &[String]) -> String {
    format!(
        "strict decoding error: {}",
        warnings(unknown, duplicates).join(", ")
    )
}
