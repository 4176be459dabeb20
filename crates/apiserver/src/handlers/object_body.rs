//! The body of a write: decoding, and validation against the schema.

use std::sync::Arc;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use machinery::decode::protobuf::Message;
use machinery::decode::{self, Decoded, FieldValidation};
use machinery::media_type;
use machinery::meta::Object;
use machinery::schema::Schema;
use machinery::status::Status;
use serde_json::Value;

use crate::description::{Description, Scope};
use crate::request_context::RequestContext;
use crate::write;

/// The encoding of a body.
#[derive(Clone, Copy)]
pub(super) enum BodyEncoding {
    Json,
    Yaml,
    /// Protobuf; the table names its fields.
    Protobuf(&'static Message),
}

impl BodyEncoding {
    /// Returns the encoding that `Content-Type` names, or JSON if the header is missing. `protobuf`
    /// is the table of the expected message, if there is one.
    ///
    /// # Errors
    /// 415 for anything but JSON, YAML and, with a table, protobuf.
    pub(super) fn of(
        headers: &HeaderMap,
        protobuf: Option<&'static Message>,
    ) -> Result<Self, Status> {
        let sent = headers
            .get(CONTENT_TYPE)
            .map(|value| value.to_str().unwrap_or("?"));
        let accepted: &[&str] = match protobuf {
            Some(_) => &media_type::BODY_TYPES_WITH_PROTOBUF,
            None => &media_type::OBJECT_TYPES,
        };
        Ok(
            match (media_type::content_type(sent, accepted)?, protobuf) {
                (media_type::PROTOBUF, Some(message)) => Self::Protobuf(message),
                (media_type::YAML, _) => Self::Yaml,
                _ => Self::Json,
            },
        )
    }

    /// Decodes a body into a tree. `kind` is the expected kind, for error messages; the shape of
    /// the tree is not checked.
    ///
    /// # Errors
    /// 400 if the body does not have the encoding.
    pub(super) fn decode(self, body: &[u8], kind: &str) -> Result<Decoded, Status> {
        let decoded = match self {
            Self::Json => decode::json(body),
            Self::Yaml => decode::yaml(body),
            Self::Protobuf(message) => decode::protobuf(body, message),
        };
        decoded.map_err(|error| Status::bad_request(decode::unrecognized_text(kind, body, &error)))
    }
}

/// The context for decoding an object.
pub(super) struct Decoding<'a> {
    pub(super) description: &'a Description,
    pub(super) schema: &'a Arc<Schema>,
    pub(super) validation: FieldValidation,
    pub(super) cx: &'a RequestContext,
}

impl Decoding<'_> {
    /// Decodes a body into a typed object.
    ///
    /// # Errors
    /// 400 for a body that is not of the kind and, if validation is strict, for unknown and
    /// duplicate fields.
    pub(super) fn object<T: Object>(
        &self,
        body: &[u8],
        encoding: BodyEncoding,
    ) -> Result<T, Status> {
        let decoded = encoding.decode(body, self.description.kind)?;
        self.typed(decoded)
    }

    /// Converts a decoded document into a typed object.
    ///
    /// # Errors
    /// As for [`Decoding::object`].
    pub(super) fn typed<T: Object>(&self, decoded: Decoded) -> Result<T, Status> {
        let Decoded {
            mut value,
            duplicates,
        } = decoded;
        self.check_type(&mut value)?;
        let conformity = decode::conform(self.schema, &mut value)
            .map_err(|error| self.unhandled(&error.to_string()))?;
        self.report(&conformity.unknown, &duplicates)?;
        if let Some(fields) = value.as_object_mut() {
            fields.remove("kind");
            fields.remove("apiVersion");
        }
        write::typed(value)
    }

    /// Ignores, warns of, or rejects unknown and duplicate fields.
    ///
    /// # Errors
    /// 400 if validation is strict.
    pub(super) fn report(&self, unknown: &[String], duplicates: &[String]) -> Result<(), Status> {
        match self.validation {
            FieldValidation::Ignore => {}
            FieldValidation::Warn => {
                for warning in decode::warnings(unknown, duplicates) {
                    self.cx.warn(&warning);
                }
            }
            FieldValidation::Strict if unknown.is_empty() && duplicates.is_empty() => {}
            FieldValidation::Strict => {
                return Err(self.unhandled(&decode::strict_error_text(unknown, duplicates)));
            }
        }
        Ok(())
    }

    /// Checks that kind and apiVersion, if set, match those of the path.
    fn check_type(&self, value: &mut Value) -> Result<(), Status> {
        let Some(fields) = value.as_object() else {
            return Err(self.unhandled("json: cannot unmarshal a value that is not an object"));
        };
        let text = |field: &str| {
            fields
                .get(field)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let (kind, api_version) = (text("kind"), text("apiVersion"));
        let expected = self.description.group_version();
        if !matches!(kind, "") && kind != self.description.kind {
            let version = if api_version.is_empty() {
                &expected
            } else {
                api_version
            };
            let version = version.rsplit('/').next().unwrap_or_default();
            return Err(Status::bad_request(format!(
                "{kind} in version {version:?} cannot be handled as a {}: the kind of the data does not match the kind of the path",
                self.description.kind
            )));
        }
        if !matches!(api_version, "") && api_version != expected {
            return Err(Status::bad_request(format!(
                "the API version in the data ({api_version}) does not match the expected API version ({expected})"
            )));
        }
        Ok(())
    }

    fn unhandled(&self, why: &str) -> Status {
        let Description { kind, version, .. } = self.description;
        Status::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {kind}: {why}"
        ))
    }
}

/// Sets the namespace of an object to that of the path, and rejects a different one in the body.
///
/// # Errors
/// 400 if they differ.
pub(super) fn settle_namespace<T: Object>(
    object: &mut T,
    description: &Description,
    path: &str,
) -> Result<(), Status> {
    let namespace = &mut object.metadata_mut().namespace;
    match (description.scope, namespace.as_deref().unwrap_or_default()) {
        (Scope::Namespaced, "") => *namespace = Some(path.to_owned()),
        (Scope::Namespaced, sent) if sent != path => {
            return Err(Status::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        (Scope::Cluster, "") => *namespace = None,
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use machinery::decode::protobuf::meta::DELETE_OPTIONS;

    use super::*;

    /// `expected` is the name of the encoding or the text of the error.
    #[track_caller]
    fn check(sent: Option<&'static str>, protobuf: Option<&'static Message>, expected: &str) {
        let mut headers = HeaderMap::new();
        if let Some(sent) = sent {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(sent));
        }
        let found = match BodyEncoding::of(&headers, protobuf) {
            Ok(BodyEncoding::Json) => "json".to_owned(),
            Ok(BodyEncoding::Yaml) => "yaml".to_owned(),
            Ok(BodyEncoding::Protobuf(_)) => "protobuf".to_owned(),
            Err(status) => format!("{}: {}", status.code, status.message),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn protobuf_is_for_kinds_with_a_table() {
        let table = Some(&DELETE_OPTIONS);
        for protobuf in [None, table] {
            check(None, protobuf, "json");
            check(Some("application/json; charset=utf-8"), protobuf, "json");
            check(Some("application/yaml"), protobuf, "yaml");
        }
        check(
            Some("application/vnd.kubernetes.protobuf"),
            table,
            "protobuf",
        );
        check(
            Some("application/vnd.kubernetes.protobuf"),
            None,
            "415: the body of the request was in an unknown format - accepted media types include: \
             application/json, application/yaml",
        );
        check(
            Some("application/cbor"),
            table,
            "415: the body of the request was in an unknown format - accepted media types include: \
             application/json, application/yaml, application/vnd.kubernetes.protobuf",
        );
    }
}
