//! The frames of a watch: one JSON document per line.

use std::sync::Arc;

use machinery::media_type::MetaVersion;
use machinery::meta::ListMeta;
use machinery::partial_object_metadata::write_partial_object;
use machinery::status::Status;
use machinery::table::write_table_tail;
use machinery::time::Clock;
use serde_json::{Value, json};
use storage::Revision;

use crate::resource::Resource;
use crate::respond::Representation;
use crate::stored_object::StoredObject;
use crate::table::TableWriter;

/// The type of an event, relative to the set of objects that the watch selects.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum EventType {
    /// The object was created, or now matches the selection.
    Added,
    /// The object changed.
    Modified,
    /// The object was deleted, or no longer matches the selection.
    Deleted,
}

/// The maximum size of a frame without its object, in bytes.
const FRAME: usize = 64;

/// A writer of frames in the representation that the client requested.
pub(crate) struct FrameWriter {
    kind: &'static str,
    api_version: String,
    form: Form,
    clock: Arc<dyn Clock>,
}

enum Form {
    Object,
    Metadata(MetaVersion),
    Table {
        table: TableWriter,
        columns_sent: bool,
    },
}

impl FrameWriter {
    /// Creates a writer for one watch.
    pub(crate) fn new<R: Resource>(
        resource: &Arc<R>,
        representation: &Representation,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let description = resource.registry().description();
        let form = if let Some(options) = representation.table() {
            Form::Table {
                table: TableWriter::new(resource, clock.now(), options),
                columns_sent: false,
            }
        } else if let Some(version) = representation.metadata_only() {
            Form::Metadata(version)
        } else {
            Form::Object
        };
        Self {
            kind: description.kind,
            api_version: description.group_version(),
            form,
            clock,
        }
    }

    /// Writes an event of an object.
    pub(crate) fn event(&mut self, event: EventType, object: &StoredObject, out: &mut Vec<u8>) {
        let event = match event {
            EventType::Added => "ADDED",
            EventType::Modified => "MODIFIED",
            EventType::Deleted => "DELETED",
        };
        if matches!(self.form, Form::Object) {
            // Growing the buffer in steps could double its size and would leave freed buffers
            // behind.
            out.reserve(object.json().len() + FRAME);
        }
        self.frame(event, out, |writer, out| match &mut writer.form {
            Form::Object => out.extend_from_slice(object.json()),
            Form::Metadata(version) => write_partial_object(*version, &object.metadata_json(), out),
            Form::Table {
                table,
                columns_sent,
            } => {
                table.set_now(writer.clock.now());
                open_table(table, columns_sent, object.revision(), out);
                table.row(object, out);
                write_table_tail(out);
            }
        });
    }

    /// Writes a bookmark with the version of the watch. `initial` marks the end of the initial
    /// events.
    pub(crate) fn bookmark(&mut self, revision: Revision, initial: bool, out: &mut Vec<u8>) {
        let mut metadata = json!({ "resourceVersion": revision.to_string() });
        if initial {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        self.frame("BOOKMARK", out, |writer, out| match &mut writer.form {
            Form::Object => write_json(&json!({ "kind": writer.kind, "apiVersion": writer.api_version, "metadata": metadata }), out),
            Form::Metadata(version) => write_partial_object(*version, metadata.to_string().as_bytes(), out),
            Form::Table { table, columns_sent } => {
                open_table(table, columns_sent, revision, out);
                table.bookmark(metadata.to_string().as_bytes(), out);
                write_table_tail(out);
            }
        });
    }

    /// Writes an error. It is a `Status` in every representation.
    pub(crate) fn error(&mut self, status: &Status, out: &mut Vec<u8>) {
        // A `Status` consists of strings and numbers, so it always has a JSON form.
        let json = serde_json::to_vec(status).unwrap_or_default();
        self.frame("ERROR", out, |_, out| out.extend_from_slice(&json));
    }

    fn frame(
        &mut self,
        event: &str,
        out: &mut Vec<u8>,
        object: impl FnOnce(&mut Self, &mut Vec<u8>),
    ) {
        out.extend_from_slice(br#"{"type":""#);
        out.extend_from_slice(event.as_bytes());
        out.extend_from_slice(br#"","object":"#);
        object(self, out);
        out.extend_from_slice(b"}\n");
    }
}

fn write_json(value: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(value.to_string().as_bytes());
}

/// Writes the head of the table of one event. Only the first event of a watch includes the columns.
fn open_table(table: &TableWriter, columns_sent: &mut bool, revision: Revision, out: &mut Vec<u8>) {
    let metadata = ListMeta {
        resource_version: revision.to_string(),
        ..ListMeta::default()
    };
    table.head(&metadata, !*columns_sent, out);
    *columns_sent = true;
}
