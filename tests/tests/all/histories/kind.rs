//! The kinds that clients write, and the field of an object that is its value.

use e2e::http::Request;
use history::State;
use serde_json::{Value, json};

use crate::record;

const SETTINGS: &str = "/apis/management.cattle.io/v3/settings";

/// A kind that is stored in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A setting, whose name the client chooses.
    Setting,
    /// A kubeconfig, whose name the server chooses.
    Kubeconfig,
}

impl Kind {
    /// Returns the user who may write it.
    pub(super) fn user(self) -> &'static str {
        match self {
            Self::Setting => "admin",
            Self::Kubeconfig => "alice",
        }
    }

    /// Returns whether a create may fail after the object was stored, which is then removed: a
    /// kubeconfig without its tokens.
    pub(super) fn withdraws(self) -> bool {
        self == Self::Kubeconfig
    }

    /// Returns the path of the collection.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Setting => SETTINGS,
            Self::Kubeconfig => record::PATH,
        }
    }

    /// Returns the path of an object.
    pub(super) fn at(self, name: &str) -> String {
        format!("{}/{name}", self.path())
    }

    /// Returns the names that the clients of a round choose from, if they choose names.
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

    /// Returns a patch that replaces the value, for any state of the object.
    pub(super) fn patch(self, name: &str, value: &str) -> Request {
        let patch = match self {
            Self::Setting => json!({ "value": value }),
            Self::Kubeconfig => json!({ "spec": { "description": value } }),
        };
        let request = Request::new("PATCH", &self.at(name));
        request.body("application/merge-patch+json", patch.to_string())
    }

    /// Returns an update of an object that the same client read, with another value.
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

/// Returns the resource version of an object or a list.
pub(super) fn version(object: &Value) -> u64 {
    let version = object["metadata"]["resourceVersion"].as_str();
    version.unwrap().parse().unwrap()
}
