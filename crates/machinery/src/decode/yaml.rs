//! YAML, within budgets.
//!
//! Kubernetes reads YAML as a way to write JSON: plain scalars take the types of YAML 1.1 (`yes` is true, `0644` is
//! octal), keys become strings, aliases and merge keys are expanded. Expansion is what an attacker multiplies
//! (CVE-2019-11253), so the budgets below are spent on what the document *becomes*, not on what it is.

use serde::de::DeserializeSeed;
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Options, with_deserializer_from_str_with_options};

use super::tree::{Recorder, Tree};
use super::{DecodeError, Decoded, json};

/// How deep objects and lists may nest in YAML that is not JSON.
///
/// Less than [`MAX_DEPTH`](super::MAX_DEPTH), since the YAML reader takes up to 26 kB of stack a level in debug builds and a
/// thread has 2 MiB.
const MAX_YAML_DEPTH: usize = 50;

/// Memory that the value read from one document may take, about; thrice the largest body that Kubernetes accepts.
const MAX_VALUE_BYTES: usize = 9 << 20;

/// Scalars, lists and mappings in one document. Reading as many takes less than 0.1 s.
const MAX_NODES: usize = 50_000;

/// Anchors, and separately aliases, in one document.
const MAX_ANCHORS: usize = 1_000;

/// Parser events kept for, and separately repeated by, all aliases together.
const MAX_ALIAS_EVENTS: usize = 20_000;

/// Reads one YAML document. JSON is YAML, and read as JSON.
///
/// Keys are the text of any scalar. Unknown tags are ignored.
///
/// # Errors
/// If the text is not UTF-8 or not YAML, holds a second document that is not empty, a key that is no scalar, a number
/// that is infinite or none, nests deeper than 50 levels, or expands beyond the budgets.
pub fn yaml(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    if bytes.trim_ascii_start().first() == Some(&b'{')
        && let Ok(decoded) = json(bytes)
    {
        return Ok(decoded);
    }
    let text =
        std::str::from_utf8(bytes).map_err(|_| DecodeError::Yaml("invalid UTF-8".to_owned()))?;
    let mut recorder = Recorder::new(MAX_VALUE_BYTES);
    let value = with_deserializer_from_str_with_options(first_document(text), options(), |yaml| {
        Tree::root(&mut recorder).deserialize(yaml)
    })
    .map_err(|error| DecodeError::Yaml(error.to_string()))?;
    Ok(Decoded {
        value,
        duplicates: recorder.into_duplicates(),
    })
}

/// Takes off the document markers at the end, which would begin another, empty document.
fn first_document(text: &str) -> &str {
    let mut document = text.trim_end();
    while let Some(rest) = document.strip_suffix("\n---") {
        document = rest.trim_end();
    }
    if document.len() == text.trim_end().len() {
        text
    } else {
        document
    }
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            flow_nesting_limit: MAX_YAML_DEPTH,
            max_depth: MAX_YAML_DEPTH,
            max_documents: 2,
            max_nodes: MAX_NODES,
            max_events: 4 * MAX_NODES,
            max_anchors: MAX_ANCHORS,
            max_aliases: MAX_ANCHORS,
            max_merge_keys: MAX_ANCHORS,
            max_recorded_anchor_events: MAX_ALIAS_EVENTS,
            max_recorded_anchor_bytes: MAX_VALUE_BYTES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_ALIAS_EVENTS,
            max_replay_stack_depth: 16,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        emit_comments: false,
        legacy_octal_numbers: true,
        with_snippet: false,
    }
}
