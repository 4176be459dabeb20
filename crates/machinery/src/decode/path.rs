use std::fmt::{Display, Formatter, Result};

/// The position of a value in a document, as a chain of stack frames. It costs nothing until it is
/// displayed.
///
/// It is displayed as in Kubernetes' strict decoding errors: `spec.list[0].x`.
#[derive(Clone, Copy)]
pub(super) enum Path<'a> {
    /// The document itself.
    Root,
    /// A field of a struct.
    Field(&'a Path<'a>, &'a str),
    /// An entry of a map.
    Entry(&'a Path<'a>, &'a str),
    /// An item of a list.
    Item(&'a Path<'a>, usize),
}

impl Path<'_> {
    /// Returns the struct fields of the path, separated by dots, as Go names a field in its type
    /// errors. Empty for the root.
    pub(super) fn struct_fields(&self) -> String {
        match self {
            Path::Root => String::new(),
            Path::Entry(parent, _) | Path::Item(parent, _) => parent.struct_fields(),
            Path::Field(parent, name) => {
                let mut fields = parent.struct_fields();
                if !fields.is_empty() {
                    fields.push('.');
                }
                fields.push_str(name);
                fields
            }
        }
    }
}

impl Display for Path<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Path::Root => Ok(()),
            Path::Field(Path::Root, name) | Path::Entry(Path::Root, name) => f.write_str(name),
            Path::Field(parent, name) | Path::Entry(parent, name) => write!(f, "{parent}.{name}"),
            Path::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}
