//! The different forms in which programs print the same JSON.

use proptest::prelude::*;
use serde_json::{Map, Value};

/// The form in which a document is printed.
#[derive(Clone, Debug)]
struct Style {
    /// The whitespace to insert where JSON permits it, in rotation.
    gaps: Vec<&'static str>,
    /// The sort keys that reorder members.
    order: Vec<u8>,
    /// The characters of strings to escape, in rotation.
    escapes: Vec<bool>,
    /// True if members are added that the reader does not know.
    unknown: bool,
    /// True if a resource version is added, which is never stored.
    version: bool,
}

/// Generates random forms of the same document.
pub(super) fn printed(document: Value) -> impl Strategy<Value = Vec<u8>> {
    let gap = prop_oneof![4 => Just(""), 2 => Just(" "), 1 => Just("\n  "), 1 => Just("\t"), 1 => Just("\r\n")];
    let compact = prop_oneof![Just(vec![""]), prop::collection::vec(gap, 1..9)];
    let order = prop::collection::vec(any::<u8>(), 1..9);
    let escapes = prop_oneof![
        Just(vec![false]),
        prop::collection::vec(any::<bool>(), 1..9)
    ];
    let style = (compact, order, escapes, any::<bool>(), any::<bool>());
    style.prop_map(move |(gaps, order, escapes, unknown, version)| {
        let style = Style {
            gaps,
            order,
            escapes,
            unknown,
            version,
        };
        let mut printer = Printer {
            style,
            at: 0,
            out: String::new(),
        };
        printer.gap();
        printer.value(&document, &[]);
        printer.gap();
        printer.out.into_bytes()
    })
}

struct Printer {
    style: Style,
    at: usize,
    out: String,
}

impl Printer {
    fn next(&mut self) -> usize {
        self.at += 1;
        self.at
    }

    fn gap(&mut self) {
        let next = self.next();
        self.out
            .push_str(self.style.gaps[next % self.style.gaps.len()]);
    }

    fn value(&mut self, value: &Value, path: &[&str]) {
        match value {
            Value::Object(members) => self.object(members, path),
            Value::Array(items) => {
                self.out.push('[');
                for (place, item) in items.iter().enumerate() {
                    self.separated(place);
                    self.value(item, &[path, &["-"]].concat());
                    self.gap();
                }
                self.out.push(']');
            }
            Value::String(text) => self.string(text),
            other => self.out.push_str(&other.to_string()),
        }
    }

    fn object(&mut self, members: &Map<String, Value>, path: &[&str]) {
        let mut members: Vec<(String, Value)> = members.clone().into_iter().collect();
        if self.style.version && path == ["metadata"] {
            members.push(("resourceVersion".to_owned(), "7".into()));
        }
        if self.style.unknown && path.is_empty() {
            members.push(("later".to_owned(), "2.0".into()));
        }
        let order = self.style.order.clone();
        let mut numbered: Vec<_> = members.into_iter().enumerate().collect();
        numbered.sort_by_key(|(place, _)| order[place % order.len()]);
        self.out.push('{');
        for (place, (_, (name, value))) in numbered.iter().enumerate() {
            self.separated(place);
            self.string(name);
            self.gap();
            self.out.push(':');
            self.gap();
            self.value(value, &[path, &[name.as_str()]].concat());
            self.gap();
        }
        self.out.push('}');
    }

    fn separated(&mut self, place: usize) {
        if place > 0 {
            self.out.push(',');
        }
        self.gap();
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            let next = self.next();
            let escaped = self.style.escapes[next % self.style.escapes.len()];
            if escaped || c < ' ' || matches!(c, '"' | '\\') {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    self.out.push_str(&format!("\\u{unit:04x}"));
                }
            } else {
                self.out.push(c);
            }
        }
        self.out.push('"');
    }
}
