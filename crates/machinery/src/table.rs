//! Tables: objects as rows and columns, for `kubectl get` (apimachinery
//! `pkg/apis/meta/v1/types.go`, `Table`).
//!
//! A table is written by concatenation: [`write_table_head`], rows with commas between them,
//! [`write_table_tail`]. A row is a separate byte string ([`write_row`]), so it can be stored, or
//! created from an object's encoded bytes.
//!
//! ```
//! use machinery::media_type::MetaVersion;
//! use machinery::meta::ListMeta;
//! use machinery::table::{Column, write_row, write_table_head, write_table_tail};
//!
//! let columns = [Column::NAME];
//! let mut out = Vec::new();
//! write_table_head(MetaVersion::V1, &ListMeta::default(), Some(&columns), &mut out);
//! write_row(&["a".into()], b"null", &mut out);
//! write_table_tail(&mut out);
//! assert!(out.ends_with(br#""rows":[{"cells":["a"],"object":null}]}"#));
//! ```

use serde::Serialize;
use serde_json::Value;

use crate::field::{Error, Path};
use crate::media_type::MetaVersion;
use crate::meta::ListMeta;
use crate::status::Status;

/// A column of a table.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Column {
    /// Heading, e.g. `Name`.
    pub name: &'static str,
    /// OpenAPI type of the cells: `string`, `integer`, `number`, `boolean`, `date`.
    #[serde(rename = "type")]
    pub type_: &'static str,
    /// OpenAPI format; `name` marks the column of the object's name.
    pub format: &'static str,
    /// Description for people.
    pub description: &'static str,
    /// 0 if the column is always shown; a larger number if it is shown only in wide output.
    pub priority: i32,
}

impl Column {
    /// The name of the object.
    pub const NAME: Column = Column {
        name: "Name",
        type_: "string",
        format: "name",
        description: "Name must be unique within a namespace. Is required when creating resources, \
                      although some resources may allow a client to request the generation of an \
                      appropriate name automatically.",
        priority: 0,
    };

    /// The creation time of the object, as RFC 3339 in UTC. This is the second column of kinds
    /// without columns of their own.
    pub const CREATED_AT: Column = Column {
        name: "Created At",
        type_: "date",
        format: "",
        description: "The server time when this object was created, in UTC.",
        priority: 0,
    };

    /// Creates a column of strings that is always shown.
    #[must_use]
    pub const fn string(name: &'static str, description: &'static str) -> Column {
        Column {
            name,
            type_: "string",
            format: "",
            description,
            priority: 0,
        }
    }

    /// Limits the column to wide output.
    #[must_use]
    pub const fn wide(self) -> Column {
        Column {
            priority: 1,
            ..self
        }
    }
}

/// The part of its object that a row has.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum IncludeObject {
    /// No part.
    None,
    /// The metadata.
    #[default]
    Metadata,
    /// The whole object.
    Object,
}

impl IncludeObject {
    /// Parses the `includeObject` parameter. A missing or empty one means the metadata, and an
    /// unknown one is a 400.
    pub fn parse(parameter: Option<&str>) -> Result<IncludeObject, Status> {
        match parameter.unwrap_or_default() {
            "" | "Metadata" => Ok(IncludeObject::Metadata),
            "None" => Ok(IncludeObject::None),
            "Object" => Ok(IncludeObject::Object),
            other => {
                let detail = "must be 'Metadata', 'Object', 'None', or empty";
                let error = Error::invalid(&Path::root("includeObject"), other, detail);
                let text = format!("Unable to convert to Table as requested: {error}");
                Err(Status::bad_request(text))
            }
        }
    }
}

/// Writes the beginning of a table, up to its first row. In a watch, only the first event has
/// columns. For the others, `columns` is `None`.
pub fn write_table_head(
    version: MetaVersion,
    meta: &ListMeta,
    columns: Option<&[Column]>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(br#"{"kind":"Table","apiVersion":""#);
    out.extend_from_slice(version.api_version().as_bytes());
    out.extend_from_slice(br#"","metadata":"#);
    write_json(meta, out);
    out.extend_from_slice(br#","columnDefinitions":"#);
    write_json(&columns, out);
    out.extend_from_slice(br#","rows":["#);
}

/// Writes one row: a cell for each column, and the encoded JSON of the part of the object, `null`
/// for no part.
pub fn write_row(cells: &[Value], object: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"cells":"#);
    write_json(&cells, out);
    out.extend_from_slice(br#","object":"#);
    out.extend_from_slice(object);
    out.push(b'}');
}

/// Writes the end of a table, after its last row.
pub fn write_table_tail(out: &mut Vec<u8>) {
    out.extend_from_slice(b"]}");
}

fn write_json(value: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("plain data is written to memory without errors");
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Column, IncludeObject, write_row, write_table_head, write_table_tail};
    use crate::media_type::MetaVersion;
    use crate::meta::ListMeta;
    use crate::status::Status;

    #[track_caller]
    fn check(columns: Option<&[Column]>, rows: &[(&[Value], &[u8])], expected: &str) {
        let meta = ListMeta {
            resource_version: "7".to_owned(),
            ..ListMeta::default()
        };
        let mut out = Vec::new();
        write_table_head(MetaVersion::V1beta1, &meta, columns, &mut out);
        for (index, (cells, object)) in rows.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_row(cells, object, &mut out);
        }
        write_table_tail(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn columns_and_rows_are_written_in_go_order() {
        check(
            Some(&[Column::string("User", "Owner").wide()]),
            &[
                (&[json!("a\"b")], br#"{"kind":"K"}"#),
                (&[json!(1)], b"null"),
            ],
            concat!(
                r#"{"kind":"Table","apiVersion":"meta.k8s.io/v1beta1","#,
                r#""metadata":{"resourceVersion":"7"},"columnDefinitions":[{"name":"User","#,
                r#""type":"string","format":"","description":"Owner","priority":1}],"#,
                r#""rows":[{"cells":["a\"b"],"object":{"kind":"K"}},{"cells":[1],"object":null}]}"#,
            ),
        );
    }

    #[test]
    fn a_table_may_have_neither_columns_nor_rows() {
        check(
            None,
            &[],
            concat!(
                r#"{"kind":"Table","apiVersion":"meta.k8s.io/v1beta1","#,
                r#""metadata":{"resourceVersion":"7"},"columnDefinitions":null,"rows":[]}"#,
            ),
        );
    }

    #[track_caller]
    fn check_include(parameter: Option<&str>, expected: Result<IncludeObject, &str>) {
        assert_eq!(
            IncludeObject::parse(parameter),
            expected.map_err(Status::bad_request)
        );
    }

    #[test]
    fn include_object_is_one_of_three() {
        check_include(None, Ok(IncludeObject::Metadata));
        check_include(Some(""), Ok(IncludeObject::Metadata));
        check_include(Some("Metadata"), Ok(IncludeObject::Metadata));
        check_include(Some("None"), Ok(IncludeObject::None));
        check_include(Some("Object"), Ok(IncludeObject::Object));
        check_include(
            Some("object"),
            Err(
                "Unable to convert to Table as requested: includeObject: Invalid value: \
                 \"object\": must be 'Metadata', 'Object', 'None', or empty",
            ),
        );
    }
}
