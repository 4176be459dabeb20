//! The representation of objects that a client negotiated: JSON or YAML; the object, its metadata,
//! or a row of a table.

use std::sync::Arc;

use axum::body::Body;
use futures_util::stream;
use http::{Request, Response, StatusCode};
use machinery::media_type::{self, Encoding, MetaVersion, Negotiated, Offer, Transform};
use machinery::meta::{ListMeta, Metadata, MetadataExt};
use machinery::partial_object_metadata::write_partial_object;
use machinery::status::Status;
use machinery::table::{IncludeObject, write_table_tail};
use storage::Revision;

use super::{AnswerEncoding, LARGE, accept, bytes, run_apart};
use crate::registry::revision_of;
use crate::request_context::RequestContext;
use crate::resource::Resource;
use crate::stored_object::{self, StoredObject};
use crate::table::{TableOptions, TableWriter};

/// The negotiated representation of a response.
pub(crate) struct Representation {
    negotiated: Negotiated,
    include: IncludeObject,
    pretty: bool,
}

impl Representation {
    /// Negotiates the representation of one object.
    ///
    /// # Errors
    /// 406 if the client accepts no supported representation.
    pub(crate) fn of_object(request: &Request<Body>, cx: &RequestContext) -> Result<Self, Status> {
        let representation = Self::negotiate(request, cx, &Offer::RESOURCE)?;
        match representation.negotiated.transform {
            Transform::PartialObjectMetadataList { .. } => {
                Err(mismatch("PartialObjectMetadataList", "a single object"))
            }
            _ => Ok(representation),
        }
    }

    /// Negotiates the representation of a list.
    ///
    /// # Errors
    /// As for [`Representation::of_object`].
    pub(crate) fn of_list(request: &Request<Body>, cx: &RequestContext) -> Result<Self, Status> {
        let representation = Self::negotiate(request, cx, &Offer::RESOURCE)?;
        match representation.negotiated.transform {
            Transform::PartialObjectMetadata { .. } => {
                Err(mismatch("PartialObjectMetadata", "a list"))
            }
            _ => Ok(representation),
        }
    }

    /// Negotiates the representation of the events of a watch.
    ///
    /// # Errors
    /// As for [`Representation::of_object`].
    pub(crate) fn of_watch(request: &Request<Body>, cx: &RequestContext) -> Result<Self, Status> {
        Self::negotiate(request, cx, &Offer::WATCH)
    }

    /// Negotiates the representation of the response to a review.
    ///
    /// # Errors
    /// As for [`Representation::of_object`].
    pub(crate) fn of_review(request: &Request<Body>, cx: &RequestContext) -> Result<Self, Status> {
        Self::negotiate(request, cx, &Offer::PLAIN)
    }

    fn negotiate(
        request: &Request<Body>,
        cx: &RequestContext,
        offer: &Offer,
    ) -> Result<Self, Status> {
        let negotiated = media_type::negotiate(accept(request), offer)?;
        let include = match negotiated.transform {
            Transform::Table { .. } => IncludeObject::parse(cx.query.value("includeObject"))?,
            _ => IncludeObject::Metadata,
        };
        let wanted = media_type::wants_pretty(cx.query.value("pretty"), Some(&cx.user_agent));
        Ok(Self {
            negotiated,
            include,
            pretty: wanted || negotiated.pretty,
        })
    }

    /// Returns the options of the table, if the client requested one.
    pub(crate) fn table(&self) -> Option<TableOptions> {
        match self.negotiated.transform {
            Transform::Table { version } => Some(TableOptions {
                version,
                include: self.include,
            }),
            _ => None,
        }
    }

    /// Returns the version of the metadata, if the client requested only metadata.
    pub(crate) fn metadata_only(&self) -> Option<MetaVersion> {
        match self.negotiated.transform {
            Transform::PartialObjectMetadata { version }
            | Transform::PartialObjectMetadataList { version } => Some(version),
            _ => None,
        }
    }

    /// Returns the encoding.
    pub(crate) fn encoding(&self) -> AnswerEncoding {
        match self.negotiated.encoding {
            Encoding::Yaml => AnswerEncoding::Yaml,
            Encoding::Json if self.pretty => AnswerEncoding::Pretty,
            Encoding::Json => AnswerEncoding::Compact,
        }
    }

    /// Returns a response with a body that is already encoded.
    pub(crate) fn encoded(&self, code: StatusCode, body: impl Into<Body>) -> Response<Body> {
        bytes(code, self.negotiated.content_type(), body)
    }

    /// Returns a response with a whole document, given as compact JSON. A large document is encoded
    /// while the response is sent.
    ///
    /// # Errors
    /// 500 if the document cannot be encoded.
    pub(crate) fn whole(&self, code: StatusCode, json: Vec<u8>) -> Result<Response<Body>, Status> {
        let encoding = self.encoding();
        if encoding == AnswerEncoding::Compact || json.len() < LARGE {
            return Ok(self.encoded(code, encoding.whole(json)?));
        }
        let encoded = async move { run_apart(move || encoding.whole(json)).await? };
        Ok(self.encoded(code, Body::from_stream(stream::once(encoded))))
    }

    /// Returns a response with a cached object.
    ///
    /// # Errors
    /// As for [`Representation::whole`].
    pub(crate) fn object<R: Resource>(
        &self,
        resource: &Arc<R>,
        code: StatusCode,
        object: &StoredObject,
    ) -> Result<Response<Body>, Status> {
        let mut out = Vec::with_capacity(object.json().len() + 1);
        if let Some(options) = self.table() {
            let writer = TableWriter::new(resource, resource.registry().clock().now(), options);
            let mut metadata = ListMeta::default();
            // A dry run has no version.
            if object.revision() > Revision::default() {
                metadata.resource_version = object.revision().to_string();
            }
            writer.head(&metadata, true, &mut out);
            writer.row(object, &mut out);
            write_table_tail(&mut out);
        } else if let Some(version) = self.metadata_only() {
            write_partial_object(version, &object.metadata_json(), &mut out);
        } else {
            out.extend_from_slice(object.json());
        }
        self.whole(code, out)
    }

    /// Returns a response with an object that was just written, including fields that only this
    /// response contains.
    ///
    /// # Errors
    /// As for [`Representation::whole`].
    pub(crate) fn written<R: Resource>(
        &self,
        resource: &Arc<R>,
        code: StatusCode,
        object: &R::Object,
    ) -> Result<Response<Body>, Status> {
        let description = resource.registry().description();
        let json = stored_object::encode(description, object).map_err(|error| {
            tracing::error!(%error, "an object cannot be encoded as JSON");
            Status::internal("the object cannot be encoded as JSON")
        })?;
        if self.table().is_none() && self.metadata_only().is_none() {
            return self.whole(code, json);
        }
        // An object that a dry run creates has no version.
        let revision = match object.metadata().resource_version() {
            "" => Revision::default(),
            _ => revision_of(object)?,
        };
        let key = resource.registry().key_of(object)?;
        let sent = StoredObject::of_answer(key, json.into(), revision)?;
        self.object(resource, code, &sent)
    }
}

fn mismatch(form: &str, what: &str) -> Status {
    Status::failure(
        machinery::status::Reason::NotAcceptable,
        format!("you requested {form}, but the requested object is {what}"),
    )
}
