//! A document that is created for one caller, mounted outside the API groups: a download.
//!
//! Creating a document may also create a stored record. Therefore GET is the only method, caches
//! must not store the response, and requests that a browser sends for a page of another site are
//! rejected.

use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use machinery::meta::GroupResource;
use machinery::status::{Reason, Status};
use tower::service_fn;

use crate::mount::{MountedRequest, MountedService};
use crate::request_context::RequestContext;
use crate::respond::{self, StatusForm};

/// A source of documents for the callers who are authorized for its path.
#[async_trait]
pub trait PrivateDocument: Send + Sync + 'static {
    /// Creates the document at this raw path for the caller. Returns `None` if the path does not
    /// exist.
    ///
    /// # Errors
    /// The reason why the caller cannot get the document.
    async fn make(&self, cx: &RequestContext, path: &str) -> Result<Option<Attachment>, Status>;
}

/// A document to download as a file.
pub struct Attachment {
    /// The media type.
    pub media_type: &'static str,
    /// The file name for the browser: letters, digits, dots and hyphens.
    pub file_name: String,
    /// The content.
    pub content: Bytes,
}

/// Returns a service for [`crate::Builder::mount`] that serves the documents.
pub fn service(document: Arc<dyn PrivateDocument>) -> MountedService {
    MountedService::new(service_fn(move |mounted: MountedRequest| {
        let document = Arc::clone(&document);
        async move { Ok::<_, Infallible>(answer(&*document, mounted).await) }
    }))
}

async fn answer(document: &dyn PrivateDocument, mounted: MountedRequest) -> Response<Body> {
    let MountedRequest { cx, request } = mounted;
    let failure = StatusForm::of(&request, &cx);
    // The request body is not used.
    let request = request.map(drop);
    let mut response = match asked(document, &cx, &request).await {
        Ok(Some(attachment)) => attached(attachment),
        Ok(None) => respond::page_not_found(),
        Err(status) => failure.respond(&status),
    };
    let headers = response.headers_mut();
    if request.method() != Method::GET {
        headers.insert(ALLOW, HeaderValue::from_static("GET"));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    respond::add_warnings(&mut response, &cx);
    response
}

async fn asked(
    document: &dyn PrivateDocument,
    cx: &RequestContext,
    request: &Request<()>,
) -> Result<Option<Attachment>, Status> {
    if request.method() != Method::GET {
        let text = "the server does not allow this method on the requested resource";
        return Err(Status::failure(Reason::MethodNotAllowed, text));
    }
    if is_cross_site(request) {
        let text = "cross-origin requests are not allowed";
        return Err(Status::forbidden(&GroupResource::default(), "", text));
    }
    document.make(cx, request.uri().path()).await
}

/// Returns whether a browser sent the request for a page of another origin (Fetch Metadata Request
/// Headers, section 2.3). Clients that are not browsers send no such header.
fn is_cross_site(request: &Request<()>) -> bool {
    let site = request.headers().get("sec-fetch-site");
    site.is_some_and(|site| site != "same-origin" && site != "none")
}

fn attached(attachment: Attachment) -> Response<Body> {
    let Attachment {
        media_type,
        file_name,
        content,
    } = attachment;
    let mut response = respond::bytes(StatusCode::OK, media_type, content);
    let disposition = format!("attachment; filename=\"{file_name}\"");
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        response
            .headers_mut()
            .insert(CONTENT_DISPOSITION, disposition);
    }
    response
}
