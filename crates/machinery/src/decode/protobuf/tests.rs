use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A message with every kind of field.
static EVERYTHING: Message = Message {
    fields: &[
        text(1, "text"),
        boolean(2, "boolean"),
        integer(3, "integer"),
        bytes(4, "bytes"),
        time(5, "time"),
        fields_v1(6, "fields"),
        message(7, "nested", &EVERYTHING),
        text(11, "emptyText").even_empty(),
        boolean(12, "emptyBoolean").even_empty(),
        integer(13, "emptyInteger").even_empty(),
        text(21, "texts").list(),
        message(22, "messages", &EVERYTHING).list(),
        text(31, "textMap").map(),
        bytes(32, "bytesMap").map(),
        text_list(33, "listMap").map(),
        message(34, "messageMap", &EVERYTHING).map(),
    ],
};

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}

/// Encodes a field that is a number.
fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

/// Encodes a field that is text, bytes or a message.
fn piece(field: u64, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    let length = varint(content.len().try_into().unwrap());
    [varint(field << 3 | 2), length, content.to_vec()].concat()
}

/// Encodes an entry of a map.
fn entry(field: u64, key: &str, value: impl AsRef<[u8]>) -> Vec<u8> {
    piece(field, [piece(1, key), piece(2, value)].concat())
}

/// Encodes a body with this message and without a kind.
fn body(message: impl AsRef<[u8]>) -> Vec<u8> {
    [MAGIC.to_vec(), piece(2, message)].concat()
}

fn read(body: &[u8]) -> Result<Value, String> {
    let decoded = protobuf(body, &EVERYTHING).map_err(|error| error.to_string())?;
    assert!(decoded.duplicates.is_empty());
    Ok(decoded.value)
}

#[track_caller]
fn check(message: impl AsRef<[u8]>, expected: Value) {
    assert_eq!(read(&body(message)), Ok(expected));
}

#[track_caller]
fn check_refused(message: impl AsRef<[u8]>, expected: &str) {
    assert_eq!(read(&body(message)), Err(format!("proto: {expected}")));
}

#[test]
fn envelope_names_the_kind() {
    let type_meta = [piece(1, "v1"), piece(2, "Secret")].concat();
    let body = [
        MAGIC.to_vec(),
        piece(1, type_meta),
        piece(2, piece(1, "a")),
        piece(4, "application/json"),
    ];
    assert_eq!(
        read(&body.concat()),
        Ok(json!({"apiVersion": "v1", "kind": "Secret", "text": "a"}))
    );
    assert_eq!(read(MAGIC), Ok(json!({})));
}

#[test]
fn other_bodies_are_refused() {
    let expected = "proto: provided data does not appear to be a protobuf message, expected prefix \
                    [107, 56, 115, 0]";
    for body in [&b""[..], b"k8s", b"{}", b"k8s\x01"] {
        assert_eq!(read(body), Err(expected.to_owned()));
    }
    let no_message = [MAGIC.to_vec(), number(2, 1)].concat();
    let expected = "proto: wrong wire type in the envelope";
    assert_eq!(read(&no_message), Err(expected.to_owned()));
}

#[test]
fn scalars() {
    check(piece(1, "ä"), json!({"text": "ä"}));
    check(number(2, 1), json!({"boolean": true}));
    check(number(3, 7), json!({"integer": 7}));
    check(number(3, u64::MAX), json!({"integer": -1}));
    check(piece(4, [0, 255]), json!({"bytes": "AP8="}));
    let time = [number(1, 1_767_323_045), number(2, 999_999_999)].concat();
    check(piece(5, time), json!({"time": "2026-01-02T03:04:05Z"}));
    let fields = piece(1, r#"{"f:a":{}}"#);
    check(piece(6, fields), json!({"fields": {"f:a": {}}}));
}

#[test]
fn zero_is_nothing_unless_the_table_keeps_it() {
    check(piece(1, ""), json!({}));
    check(number(2, 0), json!({}));
    check(number(3, 0), json!({}));
    check(piece(4, ""), json!({}));
    check(piece(5, ""), json!({}));
    check(piece(6, ""), json!({}));
    check(piece(11, ""), json!({"emptyText": ""}));
    check(number(12, 0), json!({"emptyBoolean": false}));
    check(number(13, 0), json!({"emptyInteger": 0}));
    check(piece(7, ""), json!({"nested": {}}));
    check(piece(21, ""), json!({"texts": [""]}));
}

#[test]
fn last_scalar_wins_and_messages_add_up() {
    check(
        [piece(1, "a"), piece(1, "b")].concat(),
        json!({"text": "b"}),
    );
    check([piece(1, "a"), piece(1, "")].concat(), json!({}));
    let parts = [piece(7, piece(1, "a")), piece(7, number(3, 1))];
    check(
        parts.concat(),
        json!({"nested": {"text": "a", "integer": 1}}),
    );
}

#[test]
fn lists_keep_their_order() {
    let texts = [piece(21, "b"), number(2, 1), piece(21, "a")];
    check(
        texts.concat(),
        json!({"texts": ["b", "a"], "boolean": true}),
    );
    let messages = [piece(22, piece(1, "b")), piece(22, "")];
    check(messages.concat(), json!({"messages": [{"text": "b"}, {}]}));
}

#[test]
fn maps() {
    let entries = [
        entry(31, "a", "1"),
        entry(31, "b", ""),
        entry(31, "a", "2"),
        piece(31, ""),
    ];
    check(
        entries.concat(),
        json!({"textMap": {"": "", "a": "2", "b": ""}}),
    );
    check(
        [entry(32, "a", [1]), piece(32, piece(1, "b"))].concat(),
        json!({"bytesMap": {"a": "AQ==", "b": ""}}),
    );
    let list = [piece(1, "x"), piece(1, "y")].concat();
    check(
        [entry(33, "a", list), entry(33, "b", "")].concat(),
        json!({"listMap": {"a": ["x", "y"], "b": []}}),
    );
    check(
        entry(34, "a", number(3, 1)),
        json!({"messageMap": {"a": {"integer": 1}}}),
    );
}

#[test]
fn unknown_fields_are_skipped() {
    let fixed64 = [varint(99 << 3 | 1), vec![0; 8]].concat();
    let fixed32 = [varint(99 << 3 | 5), vec![0; 4]].concat();
    let fields = [number(99, 1), fixed64, piece(99, "x"), fixed32];
    check(
        [fields.concat(), piece(1, "a")].concat(),
        json!({"text": "a"}),
    );
}

#[test]
fn malformed_fields_are_refused() {
    check_refused([0x0a], "unexpected EOF");
    check_refused([0x0a, 2, b'a'], "unexpected EOF");
    check_refused([0x18, 0x80], "unexpected EOF");
    check_refused(
        [[0x18].as_slice(), &[0xff; 10]].concat(),
        "integer overflow",
    );
    check_refused([0x00, 1], "illegal tag 0");
    check_refused(number(1 << 29, 1), "illegal tag 4294967296");
    check_refused([0x0b], "illegal wire type 3");
    check_refused([0x0e], "illegal wire type 6");
    check_refused(number(1, 1), "wrong wire type for field text");
    check_refused(piece(2, "1"), "wrong wire type for field boolean");
    check_refused(piece(3, "1"), "wrong wire type for field integer");
    check_refused(number(31, 1), "wrong wire type for field textMap");
    check_refused(piece(1, [0xff]), "field text contains invalid UTF-8");
    check_refused(
        entry(31, "a", [0xff]),
        "field textMap contains invalid UTF-8",
    );
    check_refused(
        piece(5, number(1, u64::MAX >> 1)),
        "time out of range in field time",
    );
    check_refused(
        piece(6, piece(1, "{")),
        "field fields: unexpected end of JSON input",
    );
}

#[test]
fn nesting_is_limited() {
    let nest = |levels| (1..levels).fold(Vec::new(), |inner, _| piece(7, inner));
    assert!(read(&body(nest(MAX_DEPTH))).is_ok());
    check_refused(nest(MAX_DEPTH + 1), "exceeded max depth");
    let lists = |levels| (1..levels).fold(Vec::new(), |inner, _| piece(22, inner));
    assert!(read(&body(lists(MAX_DEPTH / 2))).is_ok());
    check_refused(lists(MAX_DEPTH / 2 + 1), "exceeded max depth");
    let fields = format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
    check_refused(piece(6, piece(1, fields)), "exceeded max depth");
}

proptest! {
    #[test]
    fn random_bytes_are_read_or_refused(message: Vec<u8>) {
        if let Ok(value) = read(&body(&message)) {
            prop_assert!(value.is_object());
            prop_assert!(crate::decode::fits(&value, MAX_DEPTH));
        }
    }

    #[test]
    fn random_fields_are_read_or_refused(
        fields: Vec<(u8, bool, Vec<u8>)>,
        cut: prop::sample::Index,
    ) {
        let fields = fields.iter().map(|(field, nested, content)| {
            let content = if *nested { piece(22, content) } else { content.clone() };
            piece(u64::from(field % 40), content)
        });
        let mut message = fields.collect::<Vec<_>>().concat();
        message.truncate(cut.index(message.len() + 1));
        if let Ok(value) = read(&body(&message)) {
            prop_assert!(crate::decode::fits(&value, MAX_DEPTH));
        }
    }
}
