//! The body of a list, written piece by piece from bytes that the cache has: never a whole answer
//! in memory.

use std::sync::Arc;
use std::vec;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{Response, StatusCode};
use machinery::meta::ListMeta;
use machinery::status::Status;

use super::Call;
use super::list::Page;
use crate::resource::Resource;
use crate::respond::Representation;
use crate::stored_object::StoredObject;
use crate::table::TableWriter;

/// Size of a piece, in bytes: large enough that framing and TLS cost little.
const PIECE: usize = 64 * 1024;

/// The answer to a list.
///
/// # Errors
/// 500 where an object cannot be represented.
pub(super) fn respond<R: Resource>(
    call: &Call<'_, R>,
    representation: &Representation,
    page: Page,
) -> Result<Response<Body>, Status> {
    let pieces = Pieces::new(call, representation, page)?;
    if representation.is_compact_json() {
        let body = Body::from_stream(stream::iter(pieces.map(Ok::<_, Status>)));
        return Ok(representation.stream(StatusCode::OK, body));
    }
    let whole: Vec<u8> = pieces.flatten().collect();
    representation.whole(StatusCode::OK, whole)
}

type WriteItem = Box<dyn Fn(&StoredObject, &mut Vec<u8>) + Send + Sync>;

/// The pieces of a list's JSON.
struct Pieces {
    head: Option<Vec<u8>>,
    items: vec::IntoIter<Arc<StoredObject>>,
    write: WriteItem,
    first: bool,
}

impl Pieces {
    fn new<R: Resource>(
        call: &Call<'_, R>,
        representation: &Representation,
        page: Page,
    ) -> Result<Self, Status> {
        let description = call.resource.registry().description();
        let (head, write): (Vec<u8>, WriteItem) = if let Some(table) = representation.table() {
            let writer = TableWriter::new(call.resource, call.cx.clock.now(), table);
            let mut head = Vec::with_capacity(PIECE + PIECE / 8);
            writer.head(&page.metadata, true, &mut head);
            (head, Box::new(move |object, out| writer.row(object, out)))
        } else if let Some(version) = representation.metadata_only() {
            let head = head(
                "PartialObjectMetadataList",
                version.api_version(),
                &page.metadata,
            );
            (
                head,
                Box::new(|object, out| {
                    out.extend_from_slice(b"{\"metadata\":");
                    out.extend_from_slice(&object.metadata_json());
                    out.push(b'}');
                }),
            )
        } else {
            let head = head(
                &description.list_kind(),
                &description.group_version(),
                &page.metadata,
            );
            (
                head,
                Box::new(|object, out| {
                    out.push(b'{');
                    out.extend_from_slice(&object.list_item());
                }),
            )
        };
        Ok(Self {
            head: Some(head),
            items: page.items.into_iter(),
            write,
            first: true,
        })
    }
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut out = self.head.take()?;
        loop {
            let Some(object) = self.items.next() else {
                out.extend_from_slice(b"]}\n");
                return Some(out.into());
            };
            if !self.first {
                out.push(b',');
            }
            self.first = false;
            (self.write)(&object, &mut out);
            if out.len() >= PIECE {
                self.head = Some(Vec::with_capacity(PIECE + PIECE / 8));
                return Some(out.into());
            }
        }
    }
}

/// `{"kind":…,"apiVersion":…,"metadata":{…},"items":[`
fn head(kind: &str, api_version: &str, metadata: &ListMeta) -> Vec<u8> {
    // Strings and numbers always have a JSON form.
    let metadata = serde_json::to_string(metadata).unwrap_or_default();
    let mut head = Vec::with_capacity(PIECE + PIECE / 8);
    head.extend_from_slice(
        format!(
            r#"{{"kind":"{kind}","apiVersion":"{api_version}","metadata":{metadata},"items":["#
        )
        .as_bytes(),
    );
    head
}
