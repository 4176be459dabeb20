//! The size of a value, which bounds the work of an expression.

use serde_json::Value;

/// Maximum number of steps of an evaluation.
const MAX_STEPS: usize = 1_000_000;

/// Maximum size of the texts that an iteration may build, in bytes.
const MAX_TEXT: usize = 64 * 1024 * 1024;

/// The size of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// The number of values in it, and of the parts of its texts.
    values: usize,
    /// The length of its keys and texts, in bytes.
    bytes: usize,
}

impl Size {
    /// Measures a value of which an expression splits the texts at these separators.
    pub(super) fn of(value: &Value, separators: &[String]) -> Self {
        let mut size = Self::default();
        size.add(value, separators);
        size
    }

    /// Returns whether iterations that are nested so deeply are within the bounds.
    pub(super) fn permits(self, nesting: u32) -> bool {
        let is_quick = self
            .values
            .checked_pow(nesting)
            .is_some_and(|n| n <= MAX_STEPS);
        let text = self.values.saturating_mul(self.bytes);
        nesting == 0 || (is_quick && text <= MAX_TEXT)
    }

    fn add(&mut self, value: &Value, separators: &[String]) {
        self.values += 1;
        match value {
            Value::String(text) => {
                self.bytes += text.len();
                let parts = |separator: &String| text.matches(separator.as_str()).count();
                self.values += separators.iter().map(parts).sum::<usize>();
            }
            Value::Array(items) => items.iter().for_each(|item| self.add(item, separators)),
            Value::Object(fields) => fields.iter().for_each(|(key, field)| {
                self.bytes += key.len();
                self.add(field, separators);
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_as_large_as_their_parts() {
        let value = json!({ "a": ["b", "c,d,e"], "f": 1 });
        let size = Size::of(&value, &[",".to_owned()]);
        assert_eq!(
            size,
            Size {
                values: 7,
                bytes: 8
            }
        );
    }

    #[test]
    fn nested_iterations_permit_fewer_values() {
        #[track_caller]
        fn check(values: usize, bytes: usize, nesting: u32, expected: bool) {
            assert_eq!(Size { values, bytes }.permits(nesting), expected);
        }
        check(48_000, 48_000, 0, true);
        check(1_000, 48_000, 1, true);
        check(2_000, 48_000, 1, false);
        check(1_000, 1_000, 2, true);
        check(1_001, 1_000, 2, false);
        check(100, 1_000, 3, true);
        check(101, 1_000, 3, false);
    }
}
