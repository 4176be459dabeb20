//! Doc comments as published descriptions.

use schemars::Schema;
use schemars::transform::transform_subschemas;

/// Joins the wrapped lines of each description in `schema`. Only an empty line ends a paragraph.
///
/// `kubectl explain` wraps to the width of the terminal and would otherwise keep our line breaks as
/// well.
pub(crate) fn unwrap_lines(schema: &mut Schema) {
    if let Some(description) = schema.get("description").and_then(|value| value.as_str()) {
        let unwrapped = paragraphs(description);
        schema.insert("description".to_owned(), unwrapped.into());
    }
    transform_subschemas(&mut unwrap_lines, schema);
}

fn paragraphs(text: &str) -> String {
    text.split("\n\n")
        .map(|paragraph| {
            paragraph
                .lines()
                .map(str::trim)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect::<Vec<_>>()
        .join("\n\n")
}
