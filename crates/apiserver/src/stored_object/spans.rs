//! The positions of the parts of an object's JSON that are read separately.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;
use serde_json::Deserializer;
use serde_json::value::RawValue;

/// The first bytes of metadata that this server writes.
const NAMED: &[u8] = br#"{"name":""#;

/// The recursion limit of `serde_json`.
const MAX_DEPTH: usize = 128;

/// Byte positions in the JSON of an object: of its metadata, and of the `managedFields` in it.
/// Those are half of most objects and most of the cost of decoding them, and only writes need them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Spans {
    metadata: Range<u32>,
    /// The position of the resource version: after the UID, as in Go's field order, otherwise
    /// first.
    version: u32,
    /// Empty if there are no managed fields.
    managed_fields: Range<u32>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    metadata: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Managed<'a> {
    #[serde(borrow)]
    uid: Option<&'a RawValue>,
    #[serde(borrow)]
    managed_fields: Option<&'a RawValue>,
    #[serde(borrow)]
    resource_version: Option<&'a RawValue>,
}

/// The members of an object that the server writes by hand. Decoding fails unless each occurs
/// exactly once.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Once<'a> {
    #[serde(borrow, rename = "kind")]
    _kind: &'a RawValue,
    #[serde(borrow, rename = "apiVersion")]
    _api_version: &'a RawValue,
    #[serde(borrow, rename = "metadata")]
    _metadata: &'a RawValue,
}

impl Spans {
    /// Finds the positions in JSON with the layout of [`super::encode`], as far as the server cuts
    /// out or inserts parts. `head` is the required beginning. Returns `None` for any other layout,
    /// even if it is equivalent.
    pub(super) fn of_layout(json: &[u8], head: &[u8]) -> Option<Self> {
        // No control characters: a line break would end a frame of a watch.
        let is_plain = json.iter().all(|byte| *byte >= b' ') && std::str::from_utf8(json).is_ok();
        let has_head = json.starts_with(head) && json[head.len()..].starts_with(NAMED);
        if !is_plain || !has_head || depth(json) > MAX_DEPTH {
            return None;
        }
        serde_json::from_slice::<Once<'_>>(json).ok()?;
        let mut metadata = Deserializer::from_slice(&json[head.len()..]).into_iter();
        let metadata: Managed<'_> = metadata.next()?.ok()?;
        match metadata.resource_version {
            Some(_) => None,
            None => Self::of(json).ok(),
        }
    }

    /// Finds the positions. In JSON that [`super::encode`] writes, only the metadata is parsed.
    ///
    /// # Errors
    /// The JSON is not an object with metadata.
    pub(super) fn of(json: &[u8]) -> Result<Self, serde_json::Error> {
        let start = match behind_kind(json) {
            Some(start) => start,
            None => {
                let Envelope { metadata } = serde_json::from_slice(json)?;
                offset(metadata, json)
            }
        };
        let mut metadata = Deserializer::from_slice(&json[start..]).into_iter();
        let Managed {
            uid,
            managed_fields,
            ..
        } = metadata.next().ok_or_else(missing)??;
        let span = |part: &RawValue| offset(part, json)..offset(part, json) + part.get().len();
        let behind_uid = uid.map(|uid| span(uid).end);
        let version = match behind_uid {
            Some(place) if json.get(place) == Some(&b',') => place + 1,
            _ => start + 1,
        };
        Ok(Self {
            metadata: narrow(start..start + metadata.byte_offset()),
            version: u32::try_from(version).unwrap_or_default(),
            managed_fields: narrow(managed_fields.map_or(0..0, span)),
        })
    }

    /// Returns the span of the metadata.
    pub(super) fn metadata(&self) -> Range<usize> {
        wide(&self.metadata)
    }

    /// Returns the position of the resource version, whether or not it is present.
    pub(super) fn version(&self) -> usize {
        self.version as usize
    }

    /// Returns a part of the JSON with its `managedFields`, if any, replaced by an empty array. The
    /// part must be the metadata or contain it.
    pub(super) fn without_managed_fields<'a>(
        &self,
        json: &'a [u8],
        part: Range<usize>,
    ) -> Cow<'a, [u8]> {
        let Range { start, end } = wide(&self.managed_fields);
        match start == end {
            true => Cow::Borrowed(&json[part]),
            false => Cow::Owned([&json[part.start..start], b"[]", &json[end..part.end]].concat()),
        }
    }

    /// Returns the spans after `length` bytes were inserted into the metadata at `place`.
    pub(super) fn grown(&self, place: usize, length: usize) -> Self {
        let length = u32::try_from(length).unwrap_or_default();
        let mut grown = self.clone();
        grown.metadata.end += length;
        if grown.managed_fields.start as usize >= place {
            grown.managed_fields.start += length;
            grown.managed_fields.end += length;
        }
        grown
    }
}

/// Returns the nesting depth of objects and arrays or, if there are few of them, their number. The
/// decoders of skipped members do not check the depth.
fn depth(json: &[u8]) -> usize {
    let opening = |byte: &&u8| matches!(byte, b'{' | b'[');
    let number = json.iter().filter(opening).count();
    if number <= MAX_DEPTH {
        return number;
    }
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Returns the start of the metadata in JSON that has only kind and apiVersion before it.
fn behind_kind(json: &[u8]) -> Option<usize> {
    let kind = json.strip_prefix(br#"{"kind":""#)?;
    let version = behind_quote(kind)?.strip_prefix(br#","apiVersion":""#)?;
    let metadata = behind_quote(version)?.strip_prefix(br#","metadata":"#)?;
    Some(json.len() - metadata.len())
}

/// Returns the rest after a string without escapes. The opening quotation mark must already be
/// removed.
fn behind_quote(string: &[u8]) -> Option<&[u8]> {
    let end = string
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\'))?;
    string[end..].strip_prefix(b"\"")
}

/// Returns the position of a part in its JSON text.
fn offset(part: &RawValue, json: &[u8]) -> usize {
    part.get().as_ptr() as usize - json.as_ptr() as usize
}

fn missing() -> serde_json::Error {
    serde::de::Error::missing_field("metadata")
}

fn narrow(span: Range<usize>) -> Range<u32> {
    u32::try_from(span.start).unwrap_or_default()..u32::try_from(span.end).unwrap_or_default()
}

fn wide(span: &Range<u32>) -> Range<usize> {
    span.start as usize..span.end as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"kind":"K","metadata":{"name":"a","managedFields":[{"manager":"m"}],"z":1},"spec":{"managedFields":[2]}}"#;

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn managed_fields_are_left_out_of_the_metadata_alone() {
        let spans = Spans::of(JSON.as_bytes()).unwrap();
        let all = spans.without_managed_fields(JSON.as_bytes(), 0..JSON.len());
        assert_eq!(
            text(&all),
            r#"{"kind":"K","metadata":{"name":"a","managedFields":[],"z":1},"spec":{"managedFields":[2]}}"#
        );
        let metadata = spans.without_managed_fields(JSON.as_bytes(), spans.metadata());
        assert_eq!(text(&metadata), r#"{"name":"a","managedFields":[],"z":1}"#);
    }

    #[test]
    fn an_object_without_managed_fields_is_left_as_it_is() {
        let json = br#"{"metadata":{"name":"a"}}"#;
        let spans = Spans::of(json).unwrap();
        let whole = spans.without_managed_fields(json, 0..json.len());
        assert!(matches!(whole, Cow::Borrowed(same) if same == json));
        assert_eq!(text(&json[spans.metadata()]), r#"{"name":"a"}"#);
    }

    #[test]
    fn what_is_put_in_moves_what_comes_behind_it() {
        let old = r#""name":"a""#;
        let new = r#""name":"abc""#;
        let place = JSON.find(old).unwrap();
        let longer = JSON.replacen(old, new, 1);
        let grown = Spans::of(JSON.as_bytes()).unwrap().grown(place, 2);
        assert_eq!(grown, Spans::of(longer.as_bytes()).unwrap());

        let behind = JSON.replacen(r#""z":1"#, r#""z":111"#, 1);
        let place = JSON.find(r#""z":1"#).unwrap();
        let grown = Spans::of(JSON.as_bytes()).unwrap().grown(place, 2);
        assert_eq!(grown, Spans::of(behind.as_bytes()).unwrap());
    }

    #[test]
    fn only_the_metadata_of_the_object_itself_counts() {
        let own = r#""metadata":{"name":"a","managedFields":[1]}"#;
        for front in [
            "",
            r#""kind":"K","#,
            r#""kind":"K","apiVersion":"v1","#,
            r#""kind":"K\"","apiVersion":"v1","#,
            r#""kind":"K","apiVersion":"v1\\","spec":{"metadata":{}},"#,
            r#""apiVersion":"v1","spec":{"metadata":{"managedFields":[2]}},"#,
        ] {
            let json = format!("{{{front}{own},\"status\":{{\"metadata\":3}}}}");
            let spans = Spans::of(json.as_bytes()).unwrap();
            let metadata = &json.as_bytes()[spans.metadata()];
            assert_eq!(text(metadata), &own[r#""metadata":"#.len()..], "{json}");
            let facts = spans.without_managed_fields(json.as_bytes(), spans.metadata());
            assert_eq!(text(&facts), r#"{"name":"a","managedFields":[]}"#, "{json}");
        }
    }

    #[test]
    fn the_depth_is_that_outside_of_strings() {
        let flat = format!("[{}1]", "{},".repeat(MAX_DEPTH));
        assert_eq!(depth(flat.as_bytes()), 2);
        let text = format!(r#"["\"{}","\\",[1]]"#, "[".repeat(MAX_DEPTH));
        assert_eq!(depth(text.as_bytes()), 2);
        let deep = "[".repeat(MAX_DEPTH + 1);
        assert_eq!(depth(deep.as_bytes()), MAX_DEPTH + 1);
    }

    #[test]
    fn what_has_no_metadata_is_an_error() {
        Spans::of(b"{}").unwrap_err();
        Spans::of(br#"{"kind":"K","apiVersion":"v1","metadata":"#).unwrap_err();
        Spans::of(br#"{"kind":"K","apiVersion":"v1","spec":{}}"#).unwrap_err();
        Spans::of(b"[]").unwrap_err();
        Spans::of(br#"{"metadata":1}"#).unwrap_err();
    }
}
