//! Tables with the names and types of the fields of messages, written with the functions here.

/// The known fields of a message. Others are skipped.
#[derive(Debug)]
pub struct Message {
    /// The fields, in any order.
    pub fields: &'static [Field],
}

impl Message {
    /// Returns the field with this number.
    pub(super) fn field(&self, number: u32) -> Option<&Field> {
        self.fields.iter().find(|field| field.number == number)
    }
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    number: u32,
    /// The name in JSON.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) form: Form,
}

/// The type of a value on the wire and in JSON.
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

/// The number of occurrences of a field, and the meaning of its zero value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// Once. The zero value is dropped.
    Plain,
    /// Once. The zero value is kept.
    EvenEmpty,
    /// Any number of times: a list.
    List,
    /// Any number of times, each with a key and a value: a map.
    Map,
}

impl Field {
    /// Keeps empty values. For pointers in Go, and for fields that are always in JSON.
    #[must_use]
    pub const fn even_empty(self) -> Self {
        self.with_form(Form::EvenEmpty)
    }

    /// Makes the field a list of such values. Packed numbers are not supported, because no kind of
    /// Kubernetes has any.
    #[must_use]
    pub const fn list(self) -> Self {
        self.with_form(Form::List)
    }

    /// Makes the field a map from text to such values, which must not be numbers.
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

/// Declares a string.
pub const fn text(number: u32, name: &'static str) -> Field {
    Field::new(number, name, Kind::Text)
}

/// Declares a boolean.
pub const fn boolean(number: u32, name: &'static str) -> Field {
    Field::new(number, name, Kind::Boolean)
}

/// Declares an `int32` or `int64`.
pub const fn integer(number: u32, name: &'static str) -> Field {
    Field::new(number, name, Kind::Integer)
}

/// Declares bytes, which are base64 in JSON.
pub const fn bytes(number: u32, name: &'static str) -> Field {
    Field::new(number, name, Kind::Bytes)
}

/// Declares a `metav1.Time`: seconds since 1970, RFC 3339 in JSON. As upstream, fractions are
/// ignored.
pub const fn time(number: u32, name: &'static str) -> Field {
    Field::new(number, name, Kind::Time)
}

/// Declares a `metav1.FieldsV1`: JSON in bytes, which becomes part of the document.
pub const fn fields_v1(number: u32, name: &'static str) -> Field {
    Field::new(number, name, Kind::FieldsV1)
}

/// Declares a message whose only field, number 1, is a list of strings (`ExtraValue`). In JSON, it
/// is the list itself.
pub const fn text_list(number: u32, name: &'static str) -> Field {
    Field::new(number, name, Kind::TextList)
}

/// Declares a message, which is an object in JSON.
pub const fn message(number: u32, name: &'static str, message: &'static Message) -> Field {
    Field::new(number, name, Kind::Message(message))
}
