//! What is wrong with the host, in words for an administrator.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::Verb;

/// What can be wrong. One trouble of each kind at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    /// The host does not answer, or only with errors of its own.
    Host,
    /// The namespace is not there.
    Namespace,
    /// The host does not serve the resource.
    Resource,
    /// The host's revisions went back.
    Revisions,
    /// The host does not let us do this.
    Denied(Verb),
}

/// All that is wrong now. An entry goes when the same thing works again.
#[derive(Default)]
pub(crate) struct Troubles(Mutex<BTreeMap<Topic, String>>);

impl Troubles {
    /// Notes a trouble, and logs it unless it is known.
    pub(crate) fn set(&self, topic: Topic, text: String) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(&topic) != Some(&text) {
            tracing::warn!(trouble = text, "trouble with the host");
            all.insert(topic, text);
        }
    }

    /// This works.
    pub(crate) fn clear(&self, topic: Topic) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = all.remove(&topic) {
            tracing::info!(trouble = text, "trouble with the host is over");
        }
    }

    /// The verbs that are denied.
    pub(crate) fn denied(&self) -> Vec<Verb> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let verb = |topic: &Topic| match topic {
            Topic::Denied(verb) => Some(*verb),
            Topic::Host | Topic::Namespace | Topic::Resource | Topic::Revisions => None,
        };
        all.keys().filter_map(verb).collect()
    }

    /// All of it in one text; `None` when all is well.
    pub(crate) fn text(&self) -> Option<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let texts: Vec<&str> = all.values().map(String::as_str).collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }
}
