//! Objects reduced to their metadata (apimachinery `pkg/apis/meta/v1/types.go`,
//! `PartialObjectMetadata`).
//!
//! Like tables, they are written by concatenation, from metadata that is already encoded.

use crate::media_type::MetaVersion;
use crate::meta::ListMeta;
use crate::status::{Reason, Status};

/// Writes one object from the JSON of its metadata.
pub fn write_partial_object(version: MetaVersion, metadata: &[u8], out: &mut Vec<u8>) {
    write_kind("PartialObjectMetadata", version, out);
    out.extend_from_slice(metadata);
    out.push(b'}');
}

/// Writes the beginning of a list, up to its first item. Items are objects as
/// [`write_partial_object`] writes them, separated by commas.
pub fn write_partial_list_head(version: MetaVersion, meta: &ListMeta, out: &mut Vec<u8>) {
    write_kind("PartialObjectMetadataList", version, out);
    serde_json::to_writer(&mut *out, meta).expect("plain data is written to memory without errors");
    out.extend_from_slice(br#","items":["#);
}

/// Writes the end of a list, after its last item.
pub fn write_partial_list_tail(out: &mut Vec<u8>) {
    out.extend_from_slice(b"]}");
}

/// Creates a 406: the client requested the metadata of one object, but the response is a list of
/// this kind.
#[must_use]
pub fn answer_is_list(list_kind: &str) -> Status {
    let message = format!(
        "you requested PartialObjectMetadata, but the requested object is a list ({list_kind})"
    );
    Status::failure(Reason::NotAcceptable, message)
}

/// Creates a 406: the client requested the metadata of a list, but the response is one object of
/// this kind.
#[must_use]
pub fn answer_is_object(kind: &str) -> Status {
    let message = format!(
        "you requested PartialObjectMetadataList, but the requested object is not a list ({kind})"
    );
    Status::failure(Reason::NotAcceptable, message)
}

fn write_kind(kind: &str, version: MetaVersion, out: &mut Vec<u8>) {
    for part in [
        r#"{"kind":""#,
        kind,
        r#"","apiVersion":""#,
        version.api_version(),
        r#"","metadata":"#,
    ] {
        out.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::{write_partial_list_head, write_partial_list_tail, write_partial_object};
    use crate::media_type::MetaVersion;
    use crate::meta::ListMeta;

    #[test]
    fn items_of_a_list_carry_their_kind() {
        let meta = ListMeta {
            resource_version: "7".to_owned(),
            ..ListMeta::default()
        };
        let mut out = Vec::new();
        write_partial_list_head(MetaVersion::V1beta1, &meta, &mut out);
        write_partial_object(MetaVersion::V1beta1, br#"{"name":"a"}"#, &mut out);
        write_partial_list_tail(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                r#"{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1beta1","#,
                r#""metadata":{"resourceVersion":"7"},"items":[{"kind":"PartialObjectMetadata","#,
                r#""apiVersion":"meta.k8s.io/v1beta1","metadata":{"name":"a"}}]}"#,
            )
        );
    }
}
