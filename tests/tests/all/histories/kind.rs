//! The kinds that clients write, and what of an object is its value.

use e2e::http::Request;
use history::State;
use serde_json::{Value, json};

use crate::record;

const SETTINGS: &str = "/apis/management.cattle.io/v3/settings";

/// A kind that lives in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Clients choose the names.
    Setting,
    /// The server chooses the names.
    Kubeconfig,
}

impl Kind {
    /// The user who may write it.
    pub(super) fn user(self) -> &'static str {
        match self {
            Self::Setting => "admin",
            Self::Kubeconfig => "alice",
        }
    }

    /// Returns whether a create may fail after the object was stored, which is removed then: a kubeconfig without its tokens.
    pub(super) fn withdraws(self) -> bool {
        self == Self::Kubeconfig
    }

    /// The collection.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Setting => SETTINGS,
            Self::Kubeconfig => record::PATH,
        }
    }

    /// One object.
    pub(super) fn at(self, name: &str) -> String {
        format!("{}/{name}", self.path())
    }

    /// The names that clients of a round choose from, if they do.
    pub(super) fn names(self, round: &str) -> Vec<String> {
        match self {
            Self::Setting => (0..4).map(|number| format!("{round}{number}")).collect(),
            Self::Kubeconfig => Vec::new(),
        }
    }

    pub(super) fn create(self, name: Option<&str>, value: &str) -> Request {
        let object = match self {
            Self::Setting => json!({
                "apiVersion": "management.cattle.io/v3", "kind": "Setting",
                "metadata": {"name": name}, "value": value,
            }),
            Self::Kubeconfig => record::wanted(json!({ "description": value })),
        };
        Request::new("POST", self.path()).json(&object)
    }

    /// Replaces the value, whatever the object is.
    pub(super) fn patch(self, name: &str, value: &str) -> Request {
        let patch = match self {
            Self::Setting => json!({ "value": value }),
            Self::Kubeconfig => json!({ "spec": { "description": value } }),
        };
        let request = Request::new("PATCH", &self.at(name));
        request.body("application/merge-patch+json", patch.to_string())
    }

    /// Replaces an object that was read by the same with another value.
    pub(super) fn replace(self, read: &Value, value: &str) -> Request {
        let mut object = read.clone();
        match self {
            Self::Setting => object["value"] = value.into(),
            Self::Kubeconfig => object["spec"]["description"] = value.into(),
        }
        Request::new("PUT", &self.at(&record::name(read))).json(&object)
    }

    pub(super) fn state(self, object: &Value) -> State {
        let value = match self {
            Self::Setting => &object["value"],
            Self::Kubeconfig => &object["spec"]["description"],
        };
        State {
            version: version(object),
            value: value.as_str().unwrap_or_default().to_owned(),
        }
    }
}

/// The resource version of an object or a list.
pub(super) fn version(object: &Value) -> u64 {
    let version = object["metadata"]["resourceVersion"].as_str();
    version.unwrap().parse().unwrap()
}
