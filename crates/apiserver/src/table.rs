//! Objects as rows of a table, for `kubectl get`.

use std::sync::Arc;

use jiff::Timestamp;
use machinery::media_type::MetaVersion;
use machinery::meta::ListMeta;
use machinery::partial_object_metadata::write_partial_object;
use machinery::table::{Column, IncludeObject, write_row, write_table_head};
use serde_json::Value;

use crate::resource::Resource;
use crate::stored_object::StoredObject;

/// The options of a table that a client requested.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableOptions {
    /// The version of the table and of the metadata in its rows.
    pub(crate) version: MetaVersion,
    /// The object in each row, in addition to the cells.
    pub(crate) include: IncludeObject,
}

type Cells = Box<dyn Fn(&StoredObject, Timestamp) -> Vec<Value> + Send + Sync>;

/// A writer of tables of one kind. Ages are relative to one point in time.
pub(crate) struct TableWriter {
    columns: Vec<Column>,
    now: Timestamp,
    cells: Cells,
    options: TableOptions,
}

impl TableWriter {
    pub(crate) fn new<R: Resource>(
        resource: &Arc<R>,
        now: Timestamp,
        options: TableOptions,
    ) -> Self {
        let columns = resource.columns().to_vec();
        let width = columns.len();
        let resource = Arc::clone(resource);
        let cells: Cells =
            Box::new(
                move |object, now| match resource.registry().decode_facts(object) {
                    Ok(object) => resource.cells(&object, now),
                    Err(_) => vec![Value::Null; width],
                },
            );
        Self {
            columns,
            now,
            cells,
            options,
        }
    }

    /// Sets the time to which ages are relative.
    pub(crate) fn set_now(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// Writes everything up to the first row. `columns` is false if the columns were already sent.
    pub(crate) fn head(&self, metadata: &ListMeta, columns: bool, out: &mut Vec<u8>) {
        let columns = columns.then_some(&self.columns[..]);
        write_table_head(self.options.version, metadata, columns, out);
    }

    /// Writes one row.
    pub(crate) fn row(&self, object: &StoredObject, out: &mut Vec<u8>) {
        let cells = (self.cells)(object, self.now);
        match self.options.include {
            IncludeObject::None => write_row(&cells, b"null", out),
            IncludeObject::Object => write_row(&cells, object.json(), out),
            IncludeObject::Metadata => {
                write_row(&cells, &self.partial(&object.metadata_json()), out)
            }
        }
    }

    /// Writes the row of a bookmark: empty cells, and the resource version in the object.
    pub(crate) fn bookmark(&self, metadata: &[u8], out: &mut Vec<u8>) {
        let cells = vec![Value::Null; self.columns.len()];
        write_row(&cells, &self.partial(metadata), out);
    }

    fn partial(&self, metadata: &[u8]) -> Vec<u8> {
        let mut partial = Vec::with_capacity(metadata.len() + 80);
        write_partial_object(self.options.version, metadata, &mut partial);
        partial
    }
}
