//! The record that a context belongs to.
//!
//! A file of the server names its record in the heading, which is lost when kubectl rewrites the
//! file. A file without tokens also names it in its entries. After a merge by this program, an
//! extension of each context names it, which kubectl preserves.

use std::collections::{BTreeMap, BTreeSet};

use api::plugin::{EXEC_EXTENSION, ExecClusterConfig};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Document, Loaded, Section};
use crate::server_url::{self, ServerUrl};
use crate::trust::{self, Trust};

/// The name of the extension of a context.
const EXTENSION: &str = "kubeconfig-apiserver";

/// The record that a context belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// The server of the record.
    pub(crate) server: String,
    /// The name of the record.
    pub(crate) kubeconfig: String,
    /// The owner of the record. Empty if unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) user: String,
}

/// A merged view of the files, in which entries are found by name as in kubectl.
#[derive(Debug)]
pub(crate) struct View<'a> {
    files: &'a [Loaded],
}

impl<'a> View<'a> {
    pub(crate) fn new(files: &'a [Loaded]) -> Self {
        Self { files }
    }

    /// Returns the first entry of this name, which takes precedence.
    pub(crate) fn get(&self, section: Section, name: &str) -> Option<&'a Value> {
        self.find(section, name).map(|(_, content)| content)
    }

    /// Returns the first entry of this name, and the file that contains it.
    pub(crate) fn find(&self, section: Section, name: &str) -> Option<(&'a Loaded, &'a Value)> {
        let mut files = self.files.iter();
        files.find_map(|file| Some((file, file.document.get(section, name)?)))
    }

    /// Returns the current context.
    pub(crate) fn current_context(&self) -> Option<&'a str> {
        let mut files = self.files.iter();
        files.find_map(|file| file.document.current_context())
    }

    /// Returns the contexts that belong to records, with their records, in the order of the files.
    pub(crate) fn origins(&self) -> Vec<(&'a str, Origin)> {
        let mut origins = Vec::new();
        let mut seen = BTreeSet::new();
        for file in self.files {
            for name in file.document.names(Section::Contexts) {
                if !seen.insert(name) {
                    continue;
                }
                let context = self.get(Section::Contexts, name);
                let origin = context.and_then(|context| self.origin(&file.document, context));
                origins.extend(origin.map(|origin| (name, origin)));
            }
        }
        origins
    }

    fn origin(&self, file: &Document, context: &Value) -> Option<Origin> {
        if let Some(extension) = extension(context, EXTENSION) {
            return Origin::deserialize(extension).ok();
        }
        let part = |section: Section| self.get(section, context[section.field()].as_str()?);
        let cluster = part(Section::Clusters);
        let user = part(Section::Users).unwrap_or(&Value::Null);
        if let Some(config) = cluster.and_then(|it| extension(it, EXEC_EXTENSION)) {
            let config = ExecClusterConfig::deserialize(config).ok()?;
            return Origin::new(&config.server, &config.kubeconfig, "");
        }
        let owner = user["token"].as_str().map(subject).unwrap_or_default();
        Origin::new(server_of(file)?.as_str(), file.record()?, &owner)
    }
}

impl Origin {
    fn new(server: &str, kubeconfig: &str, user: &str) -> Option<Self> {
        let is_known = server.parse::<ServerUrl>().is_ok() && !kubeconfig.is_empty();
        is_known.then(|| Self {
            server: server.to_owned(),
            kubeconfig: kubeconfig.to_owned(),
            user: user.to_owned(),
        })
    }

    /// Returns the address of the server. A constructor has checked that it is valid.
    pub(crate) fn server_url(&self) -> Option<ServerUrl> {
        self.server.parse().ok()
    }

    /// Stores the origin in an extension of a context.
    pub(crate) fn stamp(&self, context: &mut Value) {
        let stamp = json!({ "name": EXTENSION, "extension": self });
        match &mut context["extensions"] {
            Value::Array(extensions) => {
                extensions.retain(|it| it["name"] != EXTENSION);
                extensions.push(stamp);
            }
            other => *other = json!([stamp]),
        }
    }
}

/// Returns the CA for a server, as named by the clusters of a file: by those for which the server
/// issues credentials, and by those behind the server. Any program may have written the file, so
/// the user decides whether to trust this CA.
pub(crate) fn trust_in(file: &Loaded, server: &ServerUrl) -> Option<Trust> {
    let names = file.document.names(Section::Clusters);
    let clusters = names.filter_map(|name| file.document.get(Section::Clusters, name));
    let mut data = clusters.filter_map(|cluster| {
        let config = extension(cluster, EXEC_EXTENSION)
            .and_then(|it| ExecClusterConfig::deserialize(it).ok());
        if let Some(config) =
            config.filter(|it| it.server.parse().is_ok_and(|it: ServerUrl| it == *server))
        {
            return Some(config.certificate_authority_data).filter(|data| !data.is_empty());
        }
        let front = server_url::in_front_of(cluster["server"].as_str()?).ok()?;
        let data = cluster["certificate-authority-data"].as_str();
        data.filter(|_| front == *server).map(str::to_owned)
    });
    Trust::from_pem(&trust::decode_pem(&data.next()?).ok()?).ok()
}

/// Returns the origin of each context of one file, by name.
pub(crate) fn of_file(file: &Document) -> BTreeMap<String, Origin> {
    let loaded = [Loaded {
        path: std::path::PathBuf::new(),
        document: file.clone(),
    }];
    let origins = View::new(&loaded).origins();
    origins
        .into_iter()
        .map(|(name, origin)| (name.to_owned(), origin))
        .collect()
}

/// Returns the server that issued a file with a heading of ours: the server in front of its
/// clusters, or the server of its default entry.
fn server_of(file: &Document) -> Option<ServerUrl> {
    file.record()?;
    let addresses = file.names(Section::Clusters).filter_map(|name| {
        let cluster = file.get(Section::Clusters, name)?;
        Some((name, cluster["server"].as_str()?))
    });
    let mut ours = addresses
        .filter(|(name, address)| *name == "rancher" || address.contains("/k8s/clusters/"));
    server_url::in_front_of(ours.next()?.1).ok()
}

pub(crate) fn extension<'a>(entry: &'a Value, name: &str) -> Option<&'a Value> {
    let extensions = entry["extensions"].as_array()?;
    let found = extensions.iter().find(|it| it["name"] == name)?;
    found.get("extension")
}

/// Returns the subject claim of a token, without verification. It must not be used for
/// authorization.
fn subject(token: &str) -> String {
    let claims = || {
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        let claims: Value = serde_json::from_slice(&claims).ok()?;
        claims["sub"].as_str().map(str::to_owned)
    };
    claims().unwrap_or_default()
}
