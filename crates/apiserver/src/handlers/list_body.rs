//! The body of a list, written in pieces from cached bytes, so that a large response is never
//! completely in memory.

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
use crate::respond::{AnswerEncoding, LARGE, Representation, run_apart};
use crate::stored_object::StoredObject;
use crate::table::TableWriter;

/// The size of a piece, in bytes. It is large enough that framing and TLS cost little.
const PIECE: usize = 64 * 1024;

/// The maximum size of the stored objects for one piece, in bytes. Table rows are short, but each
/// takes time.
const READ: usize = 4 * PIECE;

/// Returns the response to a list. Pieces of a large list that are slow to encode, such as table
/// rows, are encoded on a separate thread, one after the other, as the client reads.
///
/// # Errors
/// 500 if an object cannot be encoded.
pub(super) fn respond<R: Resource>(
    call: &Call<'_, R>,
    representation: &Representation,
    page: Page,
) -> Result<Response<Body>, Status> {
    let is_quick =
        representation.encoding() == AnswerEncoding::Compact && representation.table().is_none();
    let bytes: usize = page.items.iter().map(|item| item.json().len()).sum();
    let pieces = Pieces::new(call, representation, page);
    let body = match bytes < LARGE {
        true => {
            let mut whole = Vec::new();
            for piece in pieces {
                whole.extend_from_slice(&piece?);
            }
            Body::from(whole)
        }
        false if is_quick => Body::from_stream(stream::try_unfold(pieces, |mut pieces| async {
            // Yield to other requests on this thread.
            tokio::task::consume_budget().await;
            let piece = pieces.next().transpose()?;
            Ok::<_, Status>(piece.map(|piece| (piece, pieces)))
        })),
        false => Body::from_stream(stream::try_unfold(pieces, |mut pieces| async {
            let (piece, pieces) = run_apart(move || (pieces.next(), pieces)).await?;
            Ok::<_, Status>(piece.transpose()?.map(|piece| (piece, pieces)))
        })),
    };
    Ok(representation.encoded(StatusCode::OK, body))
}

type WriteItem = Box<dyn Fn(&StoredObject, &mut Vec<u8>) + Send + Sync>;

/// The pieces of an encoded list.
struct Pieces {
    encoding: AnswerEncoding,
    /// The JSON before the first item; `None` once it is written.
    head: Option<Vec<u8>>,
    items: vec::IntoIter<Arc<StoredObject>>,
    /// Writes the JSON of an item.
    write: WriteItem,
    is_empty: bool,
    has_ended: bool,
}

impl Pieces {
    fn new<R: Resource>(call: &Call<'_, R>, representation: &Representation, page: Page) -> Self {
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
        Self {
            encoding: representation.encoding(),
            head: Some(head),
            items: page.items.into_iter(),
            write,
            is_empty: true,
            has_ended: false,
        }
    }

    fn write_piece(&mut self) -> Result<Vec<u8>, Status> {
        let mut out = Vec::with_capacity(PIECE + PIECE / 8);
        if let Some(head) = self.head.take() {
            self.encoding.begin(&head, &mut out)?;
        }
        let mut read = 0;
        while out.len() < PIECE && read < READ {
            let Some(object) = self.items.next() else {
                self.encoding.end(self.is_empty, &mut out);
                self.has_ended = true;
                break;
            };
            let write = |out: &mut Vec<u8>| (self.write)(&object, out);
            self.encoding.element(write, self.is_empty, &mut out)?;
            self.is_empty = false;
            read += object.json().len();
        }
        Ok(out)
    }
}

impl Iterator for Pieces {
    type Item = Result<Bytes, Status>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let piece = self.write_piece();
        self.has_ended |= piece.is_err();
        Some(piece.map(Bytes::from))
    }
}

/// Returns `{"kind":…,"apiVersion":…,"metadata":{…},"items":[`.
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
