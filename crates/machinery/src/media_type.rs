//! Negotiation of the encoding and the form of objects (apiserver
//! `pkg/endpoints/handlers/negotiation`).
//!
//! A client lists media types in `Accept`, each with parameters. `as`, `g` and `v` request another
//! form of the object (a `Table`, its metadata only, or aggregated discovery), `stream=watch`
//! requests events, and `pretty=1` requests indentation. Clauses are tried by quality, then from
//! specific to general, then in order. The first one with a known type and a form that the endpoint
//! has is used. Unknown parameters are ignored. Bodies name their type in `Content-Type`, where all
//! parameters are ignored.
//!
//! Other modules write the chosen form.

mod accept;
mod transform;

use std::fmt;

use crate::status::Status;

use self::accept::Clause;
pub use self::transform::{DiscoveryVersion, MetaVersion, Transform};

/// The encoding of objects.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Encoding {
    /// `application/json`.
    #[default]
    Json,
    /// `application/yaml`.
    Yaml,
}

/// The media types of objects, in the order in which errors list them and wildcards choose them.
pub const OBJECT_TYPES: [&str; 2] = [JSON, YAML];

/// The media types of bodies of kinds that have a protobuf definition, in the order of errors.
pub const BODY_TYPES_WITH_PROTOBUF: [&str; 3] = [JSON, YAML, PROTOBUF];

/// The media types of watch events.
pub const STREAM_TYPES: [&str; 1] = ["application/json;stream=watch"];

/// The media type of Kubernetes' own envelope of protobuf. For bodies only.
pub const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// YAML.
pub const YAML: &str = "application/yaml";

const JSON: &str = "application/json";

/// The formats that an endpoint can respond with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Offer {
    /// Forms in addition to the plain one.
    pub transforms: Transforms,
    /// True if the response is a stream of events, for which YAML has no framing.
    pub stream: bool,
}

/// Forms that an endpoint has in addition to the plain one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transforms {
    /// No other form.
    None,
    /// `Table` and `PartialObjectMetadata(List)`. The writer must check whether the response is a
    /// list.
    Objects,
    /// Only `PartialObjectMetadata(List)`, for kinds without a table.
    Metadata,
    /// Aggregated discovery.
    Discovery,
}

impl Offer {
    /// A document without other forms.
    pub const PLAIN: Offer = Offer {
        transforms: Transforms::None,
        stream: false,
    };

    /// Objects and lists of a resource.
    pub const RESOURCE: Offer = Offer {
        transforms: Transforms::Objects,
        stream: false,
    };

    /// Events of a resource.
    pub const WATCH: Offer = Offer {
        transforms: Transforms::Objects,
        stream: true,
    };

    /// `/apis` and `/api`.
    pub const DISCOVERY: Offer = Offer {
        transforms: Transforms::Discovery,
        stream: false,
    };

    /// Returns the media types that an error lists.
    #[must_use]
    pub fn media_types(&self) -> &'static [&'static str] {
        if self.stream {
            &STREAM_TYPES
        } else {
            &OBJECT_TYPES
        }
    }
}

/// The result of the negotiation.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Negotiated {
    /// The encoding of the response.
    pub encoding: Encoding,
    /// The form of the response.
    pub transform: Transform,
    /// True if `pretty=1` requests indentation. The query and the user agent may request it too,
    /// see [`wants_pretty`].
    pub pretty: bool,
}

impl Negotiated {
    /// Returns the `Content-Type` of the response. Only aggregated discovery names its form in it.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        use DiscoveryVersion::{V2, V2beta1};
        match (self.encoding, self.transform) {
            (Encoding::Json, Transform::AggregatedDiscovery { version: V2 }) => {
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
            }
            (Encoding::Json, Transform::AggregatedDiscovery { version: V2beta1 }) => {
                "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
            }
            (Encoding::Yaml, Transform::AggregatedDiscovery { version: V2 }) => {
                "application/yaml;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
            }
            (Encoding::Yaml, Transform::AggregatedDiscovery { version: V2beta1 }) => {
                "application/yaml;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
            }
            (Encoding::Json, _) => JSON,
            (Encoding::Yaml, _) => YAML,
        }
    }
}

/// No clause of `Accept` matches. The response is a 406, always in indented JSON.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotAcceptable {
    /// The media types that would match.
    pub media_types: &'static [&'static str],
}

impl fmt::Display for NotAcceptable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Status::from(*self).fmt(f)
    }
}

impl std::error::Error for NotAcceptable {}

impl From<NotAcceptable> for Status {
    fn from(error: NotAcceptable) -> Status {
        Status::not_acceptable(error.media_types)
    }
}

/// Chooses the encoding and form for the value of an `Accept` header. Several headers are joined by
/// commas.
///
/// A missing or empty header means JSON. As upstream, quality 0 means least preferred, and not
/// unacceptable.
pub fn negotiate(accept: Option<&str>, offer: &Offer) -> Result<Negotiated, NotAcceptable> {
    let header = accept.unwrap_or_default();
    if header.is_empty() {
        return Ok(Negotiated::default());
    }
    let clauses = accept::parse(header);
    let negotiated = clauses.iter().find_map(|clause| fit(clause, offer));
    negotiated.ok_or(NotAcceptable {
        media_types: offer.media_types(),
    })
}

/// Returns the media type of a body, which is one of `accepted`. If the client names no type, it is
/// the first of them (POST, PUT, DELETE). Any other type is a 415. Parameters such as `charset` are
/// ignored.
pub fn content_type<'a>(header: Option<&str>, accepted: &[&'a str]) -> Result<&'a str, Status> {
    match (header.map(str::trim), accepted) {
        (None | Some(""), [first, ..]) => Ok(first),
        _ => explicit_content_type(header, accepted),
    }
}

/// Like [`content_type`], but the client must name the type (PATCH).
pub fn explicit_content_type<'a>(
    header: Option<&str>,
    accepted: &[&'a str],
) -> Result<&'a str, Status> {
    let named = header
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    let known = accepted
        .iter()
        .find(|media_type| media_type.eq_ignore_ascii_case(named));
    known
        .copied()
        .ok_or_else(|| Status::unsupported_media_type(accepted))
}

/// Returns whether to indent for a person. The `pretty` parameter of the query decides, or the user
/// agent if the parameter is missing or empty.
#[must_use]
pub fn wants_pretty(parameter: Option<&str>, user_agent: Option<&str>) -> bool {
    match parameter {
        Some(value) if !value.is_empty() => {
            matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True")
        }
        _ => {
            let agent = user_agent.unwrap_or_default();
            ["curl", "Wget", "Mozilla/5.0"]
                .iter()
                .any(|human| agent.starts_with(human))
        }
    }
}

/// Returns the encoding and form of one clause, if the endpoint has them.
fn fit(clause: &Clause<'_>, offer: &Offer) -> Option<Negotiated> {
    let encoding = [Encoding::Json, Encoding::Yaml]
        .into_iter()
        .find(|&encoding| {
            clause.matches(media_type(encoding)) && streams(encoding, clause, offer)
        })?;
    // Other versions of the server's own types are never offered.
    if !clause.parameter("sv").unwrap_or_default().is_empty() {
        return None;
    }
    let transform = Transform::asked_by(clause)?;
    is_offered(transform, offer.transforms).then_some(Negotiated {
        encoding,
        transform,
        pretty: clause.parameter("pretty") == Some("1"),
    })
}

fn media_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Json => JSON,
        Encoding::Yaml => YAML,
    }
}

/// Returns whether the encoding can frame events, if the endpoint or the clause requests them.
fn streams(encoding: Encoding, clause: &Clause<'_>, offer: &Offer) -> bool {
    match clause.parameter("stream").unwrap_or_default() {
        "" => !offer.stream || encoding == Encoding::Json,
        "watch" => encoding == Encoding::Json,
        _ => false,
    }
}

fn is_offered(transform: Transform, offered: Transforms) -> bool {
    match transform {
        Transform::None => true,
        Transform::Table { .. } => offered == Transforms::Objects,
        Transform::PartialObjectMetadata { .. } | Transform::PartialObjectMetadataList { .. } => {
            matches!(offered, Transforms::Objects | Transforms::Metadata)
        }
        Transform::AggregatedDiscovery { .. } => offered == Transforms::Discovery,
    }
}

#[cfg(test)]
mod tests;
