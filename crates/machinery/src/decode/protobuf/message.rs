//! What the fields of a message are called and mean: tables, written with the functions here.

/// The fields of a message that mean something; others are skipped.
#[derive(Debug)]
pub struct Message {
    /// The fields, in any order.
    pub fields: &'static [Field],
}

impl Message {
    /// The field of this number.
    pub(super) fn field(&self, number: u32) -> Option<&Field> {
        self.fields.iter().find(|field| field.number == number)
    }
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    number: u32,
    /// Its name in JSON.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) form: Form,
}

/// What a value is on the wire and in JSON.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    Boolean,
    Integer,
    Bytes,
    Time,
    FieldsV1,
    TextList,
    Message(&'static Message),
}

/// How often a field occurs, and what its zero value means.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// Once; the zero value is as good as none.
    Plain,
    /// Once; the zero value is a value.
    EvenEmpty,
    /// Any number of times: a list.
    List,
    /// Any number of times, each a key and a value.
    Map,
}

impl Field {
    /// Where an empty value differs from none: pointers in Go, and fields that are always in JSON.
    #[must_use]
    pub const fn even_empty(self) -> Self {
        self.with_form(Form::EvenEmpty)
    }

    /// A list of such values. Packed numbers are not understood: no kind of Kubernetes has any.
    #[must_use]
    pub const fn list(self) -> Self {
        self.with_form(Form::List)
    }

    /// A map from text to such values, which must not be numbers.
    #[must_use]
    pub const fn map(self) -> Self {
        self.with_form(Form::Map)
    }

    const fn new(number: u32, name: &'static str, kind: Kind) -> Self {
        let form = Form::Plain;
        Self {
            number,
            name,
            kind,
            form,
        }
    }

    const fn with_form(self, form: Form) -> Self {
        Self { form, ..self }
    }
}

/// A string.
pub const fn text(number: u32, name: &'static str) -> Field {
    Field::new(number, name, Kind::Text)
}

/// A boolean.
pub const fn boolean(number: u32, name: &'static str) -> Field {
    Field::new(number, name, Kind::Boolean)
}

/// An `int32` or `int64`.
pub const fn integer(number: u32, name: &'static str) -> Field {
    Field::new(number, name, Kind::Integer)
}

/// Bytes: base64 in JSON.
pub const fn bytes(number: u32, name: &'static str) -> Field {
    Field::new(number, name, Kind::Bytes)
}

/// `metav1.Time`: seconds since 1970, RFC 3339 in JSON. As upstream, fractions are not looked at.
pub const fn time(number: u32, name: &'static str) -> Field {
    Field::new(number, name, Kind::Time)
}

/// `metav1.FieldsV1`: JSON in bytes, part of the document in JSON.
pub const fn fields_v1(number: u32, name: &'static str) -> Field {
    Field::new(number, name, Kind::FieldsV1)
}

/// A message whose only field, number 1, is a list of strings: the list itself in JSON
/// (`ExtraValue`).
pub const fn text_list(number: u32, name: &'static str) -> Field {
    Field::new(number, name, Kind::TextList)
}

/// A message: an object in JSON.
pub const fn message(number: u32, name: &'static str, message: &'static Message) -> Field {
    Field::new(number, name, Kind::Message(message))
}
