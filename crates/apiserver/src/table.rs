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

/// How a client wants its table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableOptions {
    /// Version of the table and of the metadata in its rows.
    pub(crate) version: MetaVersion,
    /// What stands beside the cells.
    pub(crate) include: IncludeObject,
}

type Cells = Box<dyn Fn(&StoredObject, Timestamp) -> Vec<Value> + Send + Sync>;

/// Writes tables of one kind, as of one moment.
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

    /// Ages are told as of this moment from now on.
    pub(crate) fn set_now(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// Everything up to the first row; the columns are left out where they were sent before.
    pub(crate) fn head(&self, metadata: &ListMeta, columns: bool, out: &mut Vec<u8>) {
        let columns = columns.then_some(&self.columns[..]);
        write_table_head(self.options.version, metadata, columns, out);
    }

    /// One row.
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

    /// The row of a bookmark: empty cells, and the version in the object.
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
