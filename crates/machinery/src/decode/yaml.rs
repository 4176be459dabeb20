//! YAML, within budgets.
//!
//! Kubernetes uses YAML as a notation for JSON: plain scalars have the types of YAML 1.1 (`yes` is
//! true, `0644` is octal), keys become strings, aliases and merge keys are expanded. Attackers
//! exploit this expansion (CVE-2019-11253), so the budgets below limit the expanded document and
//! not its text.

use serde::de::DeserializeSeed;
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Options, with_deserializer_from_str_with_options};

use super::tree::{Recorder, Tree};
use super::{DecodeError, Decoded, json};

/// Maximum nesting depth of objects and lists in YAML that is not JSON.
///
/// Lower than [`MAX_DEPTH`](super::MAX_DEPTH), because the YAML reader uses up to 26 kB of stack
/// per level in debug builds and a thread has 2 MiB.
const MAX_YAML_DEPTH: usize = 50;

/// Approximate memory that the value of one document may use, in bytes: three times the largest
/// body that Kubernetes accepts.
const MAX_VALUE_BYTES: usize = 9 << 20;

/// Maximum number of scalars, lists and mappings in one document. Reading that many takes less than
/// 0.1 s.
const MAX_NODES: usize = 50_000;

/// Maximum number of anchors, and separately of aliases, in one document.
const MAX_ANCHORS: usize = 1_000;

/// Maximum number of parser events that are recorded for, and separately replayed by, all aliases
/// together.
const MAX_ALIAS_EVENTS: usize = 20_000;

/// Reads one YAML document. JSON is valid YAML and is read as JSON.
///
/// A key may be any scalar and becomes text. Unknown tags are ignored.
///
/// # Errors
/// The text is not UTF-8 or not YAML, has a second document that is not empty, has a key that is
/// not a scalar or a number that is infinite or NaN, nests deeper than 50 levels, or exceeds the
/// budgets when expanded.
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

/// Removes trailing document markers, which would begin another, empty document.
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
