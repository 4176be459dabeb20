//! The tree of a kubeconfig file. Unknown fields are preserved.

use std::fmt;

use anyhow::{Context, Result, bail};
use api::plugin::{FILE_HEADING, FILE_NAME};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

/// The content of a kubeconfig file, including its secrets.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Document {
    tree: Map<String, Value>,
    /// The record that the heading of the file names, if a kubeconfig-apiserver wrote the heading.
    record: Option<String>,
}

/// A list of entries in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Section {
    Clusters,
    Users,
    Contexts,
}

impl Section {
    pub(crate) const ALL: [Self; 3] = [Self::Clusters, Self::Users, Self::Contexts];

    fn list(self) -> &'static str {
        match self {
            Self::Clusters => "clusters",
            Self::Users => "users",
            Self::Contexts => "contexts",
        }
    }

    /// Returns the field of an entry that has its content.
    pub(crate) fn field(self) -> &'static str {
        match self {
            Self::Clusters => "cluster",
            Self::Users => "user",
            Self::Contexts => "context",
        }
    }
}

impl Document {
    /// Parses a file. An empty file is an empty document.
    ///
    /// # Errors
    /// Fails if the text is not a kubeconfig. The error contains no part of the text.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let record = record_of_heading(text);
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let tree = match serde_saphyr::from_str::<Value>(text) {
            Ok(Value::Object(tree)) => tree,
            // The text has only comments, or `---`.
            Ok(Value::Null) => return Ok(Self::default()),
            _ => bail!("this is not a kubeconfig: not a YAML mapping"),
        };
        if tree
            .iter()
            .any(|(key, value)| is_merge_key(key) || has_merge_key(value))
        {
            bail!(
                "this is not a kubeconfig: it has a merge key (<<), which programs interpret differently"
            );
        }
        let document = Self { tree, record };
        for section in Section::ALL {
            document.check(section)?;
        }
        Ok(document)
    }

    /// Converts the file to a type, which may be stricter.
    ///
    /// # Errors
    /// Fails if the file does not fit the type. Secrets are in fields whose values serde errors do
    /// not show.
    pub(crate) fn typed<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_value(Value::Object(self.tree.clone()))?)
    }

    fn check(&self, section: Section) -> Result<()> {
        let list = self.tree.get(section.list()).unwrap_or(&Value::Null);
        let is_entry = |entry: &Value| {
            entry["name"].is_string()
                && (entry[section.field()].is_object() || entry[section.field()].is_null())
        };
        let is_list = match list {
            Value::Array(entries) => entries.iter().all(is_entry),
            other => other.is_null(),
        };
        if !is_list {
            bail!(
                "this is not a kubeconfig: {} is not a list of entries",
                section.list()
            );
        }
        Ok(())
    }

    /// Returns the text of the file.
    pub(crate) fn to_yaml(&self) -> Result<Zeroizing<String>> {
        let mut tree = self.tree.clone();
        tree.entry("apiVersion").or_insert_with(|| json!("v1"));
        tree.entry("kind").or_insert_with(|| json!("Config"));
        let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
        let text = serde_saphyr::to_string_with_options(&tree, options);
        text.map(Zeroizing::new)
            .context("the kubeconfig cannot be encoded as YAML")
    }

    /// Returns the record that the heading names.
    pub(crate) fn record(&self) -> Option<&str> {
        self.record.as_deref()
    }

    /// Returns the current context, if there is one.
    pub(crate) fn current_context(&self) -> Option<&str> {
        let current = self.tree.get("current-context")?.as_str()?;
        Some(current).filter(|name| !name.is_empty())
    }

    /// Sets the current context. An empty name means no current context.
    pub(crate) fn set_current_context(&mut self, name: &str) {
        self.tree.insert("current-context".to_owned(), json!(name));
    }

    /// Returns the names in a section.
    pub(crate) fn names(&self, section: Section) -> impl Iterator<Item = &str> {
        let entries = self.tree.get(section.list()).and_then(Value::as_array);
        let entries = entries.map(Vec::as_slice).unwrap_or_default();
        entries.iter().filter_map(|entry| entry["name"].as_str())
    }

    /// Returns the content of the first entry of this name.
    pub(crate) fn get(&self, section: Section, name: &str) -> Option<&Value> {
        let entries = self.tree.get(section.list())?.as_array()?;
        let entry = entries.iter().find(|entry| entry["name"] == name)?;
        entry.get(section.field())
    }

    /// Returns the content of each entry, for changes.
    pub(crate) fn contents_mut(&mut self, section: Section) -> impl Iterator<Item = &mut Value> {
        let entries = self
            .tree
            .get_mut(section.list())
            .and_then(Value::as_array_mut);
        let entries = entries.map(Vec::as_mut_slice).unwrap_or_default();
        entries
            .iter_mut()
            .filter_map(move |entry| entry.get_mut(section.field()))
    }

    /// Adds an entry.
    pub(crate) fn push(&mut self, section: Section, name: &str, content: Value) {
        let list = self.tree.entry(section.list()).or_insert(Value::Null);
        let entry = json!({ "name": name, section.field(): content });
        match list {
            Value::Array(entries) => entries.push(entry),
            other => *other = Value::Array(vec![entry]),
        }
    }

    /// Removes the entries of this name.
    pub(crate) fn remove(&mut self, section: Section, name: &str) {
        if let Some(Value::Array(entries)) = self.tree.get_mut(section.list()) {
            entries.retain(|entry| entry["name"] != name);
        }
    }
}

/// Shows only the names of the entries.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<Vec<&str>> = Section::ALL
            .iter()
            .map(|&it| self.names(it).collect())
            .collect();
        f.debug_tuple("Document").field(&names).finish()
    }
}

fn is_merge_key(key: &str) -> bool {
    key == "<<"
}

/// Returns whether a mapping in `value` has a YAML 1.1 merge key, which stands for the content of
/// another mapping. Some programs apply it even if it is quoted.
fn has_merge_key(value: &Value) -> bool {
    match value {
        Value::Object(map) => map
            .iter()
            .any(|(key, value)| is_merge_key(key) || has_merge_key(value)),
        Value::Array(items) => items.iter().any(has_merge_key),
        _ => false,
    }
}

/// Returns the record that the heading names. The server writes two comment lines at the top of its
/// files.
fn record_of_heading(text: &str) -> Option<String> {
    let mut lines = text.lines();
    if lines.next()? != FILE_HEADING {
        return None;
    }
    let name = lines.next()?.strip_prefix(FILE_NAME)?;
    Some(name.to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_stays() {
        let text = "\
apiVersion: v1
clusters:
- cluster:
    extra: [1, two, null]
    server: https://a.b
  name: \"yes\"
  note: kept
contexts: null
current-context: \"123\"
kind: Config
preferences: {}
";
        let document = Document::parse(text).unwrap();
        let again = Document::parse(&document.to_yaml().unwrap()).unwrap();
        assert_eq!(again, document);
        assert_eq!(document.current_context(), Some("123"));
        assert_eq!(
            document.names(Section::Clusters).collect::<Vec<_>>(),
            ["yes"]
        );
        let expected = "\
apiVersion: v1
clusters:
- cluster:
    extra:
    - 1
    - two
    - null
    server: https://a.b
  name: \"yes\"
  note: kept
contexts: null
current-context: \"123\"
kind: Config
preferences: {}
";
        assert_eq!(document.to_yaml().unwrap().as_str(), expected);
    }

    #[test]
    fn what_is_no_kubeconfig_is_refused_without_its_text() {
        for text in [
            "t0ps3cret",
            "- t0ps3cret",
            "a: [t0ps3cret",
            "clusters: t0ps3cret",
            "users: [{name: 1, user: {}}]",
            "users: [{name: t0ps3cret, user: {\"<<\": {exec: {}}}}]",
        ] {
            let error = format!("{:#}", Document::parse(text).unwrap_err());
            assert!(
                error.starts_with("this is not a kubeconfig: ") && !error.contains("t0ps3cret"),
                "{error}"
            );
        }
        for text in [" \n", "# a note\n", "---\n", "---\n# a note\n"] {
            assert_eq!(
                Document::parse(text).unwrap(),
                Document::default(),
                "{text}"
            );
        }
    }

    #[test]
    fn entries_are_added_and_removed() {
        let mut document = Document::default();
        document.push(Section::Users, "a", json!({ "token": "t0ps3cret" }));
        document.push(Section::Users, "b", json!({}));
        assert!(!format!("{document:?}").contains("t0ps3cret"));
        document.remove(Section::Users, "a");
        assert_eq!(document.get(Section::Users, "a"), None);
        assert_eq!(document.get(Section::Users, "b"), Some(&json!({})));
        let expected = "apiVersion: v1\nkind: Config\nusers:\n- name: b\n  user: {}\n";
        assert_eq!(document.to_yaml().unwrap().as_str(), expected);
    }

    #[test]
    fn the_heading_names_the_record() {
        let file = "# Generated by kubeconfig-apiserver\n# name: kubeconfig-abcde\nkind: Config\n";
        assert_eq!(
            Document::parse(file).unwrap().record(),
            Some("kubeconfig-abcde")
        );
        let file = "# name: kubeconfig-abcde\nkind: Config\n";
        assert_eq!(Document::parse(file).unwrap().record(), None);
    }
}
