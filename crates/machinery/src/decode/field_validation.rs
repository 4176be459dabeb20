/// The handling of unknown and duplicate fields (`fieldValidation` of metav1's CreateOptions,
/// KEP-2885).
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
    /// The accepted values, in the order in which an error lists them.
    pub const VALUES: [&str; 4] = ["", "Ignore", "Strict", "Warn"];

    /// Parses the query parameter. An empty text means the default. Returns `None` for anything
    /// else.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "Ignore" => Some(FieldValidation::Ignore),
            "" | "Warn" => Some(FieldValidation::Warn),
            "Strict" => Some(FieldValidation::Strict),
            _ => None,
        }
    }
}

/// Returns one line per field, e.g. `unknown field "spec.foo"`: the warnings under
/// [`FieldValidation::Warn`].
pub fn warnings(unknown: &[String], duplicates: &[String]) -> Vec<String> {
    let unknown = unknown.iter().map(|path| format!("unknown field {path:?}"));
    let duplicates = duplicates
        .iter()
        .map(|path| format!("duplicate field {path:?}"));
    unknown.chain(duplicates).collect()
}

/// Returns the error under [`FieldValidation::Strict`], e.g. `strict decoding error: unknown field
/// "spec.foo"`.
pub fn strict_error_text(unknown: &[String], duplicates: &[String]) -> String {
    format!(
        "strict decoding error: {}",
        warnings(unknown, duplicates).join(", ")
    )
}
