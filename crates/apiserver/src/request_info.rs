//! The request info: what a request asks for, parsed from its method, path and query alone.
//!
//! The rules are those of Kubernetes (`apiserver/pkg/endpoints/request/requestinfo.go`). All later
//! decisions, authorization in particular, use this type and never parse the raw path again.

use auth::Attributes;
use http::Method;
use machinery::meta::ObjectKey;
use percent_encoding::percent_decode_str;

use crate::query::Query;
use machinery::field_selector::FieldSelector;

/// The verbs that a path can contain in front of the resource. They replace that of the method.
const VERB_PREFIXES: [&str; 2] = ["proxy", "watch"];

/// The parsed method, path and query of a request.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RequestInfo {
    /// The Kubernetes verb of a resource request (`get`, `deletecollection`, …), otherwise the
    /// method in lower case.
    pub verb: String,
    /// The path as it was sent, without the query.
    pub path: String,
    /// The resource that the path names, if any.
    pub resource: Option<ResourceInfo>,
}

/// The resource that a path names.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ResourceInfo {
    /// API group; empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Namespace; empty for a request at cluster scope.
    pub namespace: String,
    /// Plural name of the resource.
    pub resource: String,
    /// Subresource; empty for the object itself.
    pub subresource: String,
    /// Object name; empty for a collection. A `metadata.name` field selector fills it on list and
    /// watch.
    pub name: String,
    /// True if the path named the object, and not a selector.
    pub named_by_path: bool,
    /// The path segments after the subresource. No served resource has any.
    pub trailing: Vec<String>,
}

impl ResourceInfo {
    /// Returns the key of the object.
    pub fn key(&self) -> ObjectKey<'_> {
        ObjectKey::namespaced(&self.namespace, &self.name)
    }
}

impl RequestInfo {
    /// Parses a request line. `path` is percent-encoded; `query` may be empty. Returns `None` if a
    /// segment is not valid percent-encoded UTF-8.
    pub fn parse(method: &Method, path: &str, query: &str) -> Option<Self> {
        let mut segments = Vec::new();
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            segments.push(percent_decode_str(segment).decode_utf8().ok()?.into_owned());
        }
        let non_resource = || Self {
            verb: method.as_str().to_ascii_lowercase(),
            path: path.to_owned(),
            resource: None,
        };
        let Some((group, version, rest)) = split_group(&segments) else {
            return Some(non_resource());
        };
        let (prefix, rest) = match rest.split_first() {
            Some((first, behind))
                if VERB_PREFIXES.contains(&first.as_str()) && !behind.is_empty() =>
            {
                (Some(first.as_str()), behind)
            }
            _ => (None, rest),
        };
        let Some(mut resource) = resource_of(rest) else {
            return Some(non_resource());
        };
        resource.group = group;
        resource.version = version;
        let verb = match prefix {
            Some(prefix) => prefix.to_owned(),
            None => verb(method, &mut resource, query),
        };
        Some(Self {
            verb,
            path: path.to_owned(),
            resource: Some(resource),
        })
    }

    /// Returns the attributes of the request for an authorizer, without selectors.
    pub fn attributes(&self) -> Attributes {
        match &self.resource {
            Some(info) => Attributes::resource(&self.verb, &info.group, &info.resource)
                .version(&info.version)
                .subresource(&info.subresource)
                .in_namespace(&info.namespace)
                .object(&info.name),
            None => Attributes::path(&self.verb, &self.path),
        }
    }

    /// Returns whether the client may keep the request open indefinitely.
    pub fn is_long_running(&self) -> bool {
        self.resource.is_some() && self.verb == "watch"
    }

    /// Returns whether the request applies to the objects of a collection that selectors match.
    pub fn selects(&self) -> bool {
        let verbs = ["list", "watch", "deletecollection"];
        self.resource.is_some() && verbs.contains(&self.verb.as_str())
    }

    /// Returns whether the request cannot change anything.
    pub fn is_read_only(&self) -> bool {
        matches!(
            self.verb.as_str(),
            "get" | "list" | "watch" | "head" | "options"
        )
    }
}

/// Splits `/api/V/…` and `/apis/G/V/…` into group, version and the other segments, of which there
/// must be at least one.
fn split_group(segments: &[String]) -> Option<(String, String, &[String])> {
    match segments {
        [prefix, version, rest @ ..] if prefix == "api" && !rest.is_empty() => {
            Some((String::new(), version.clone(), rest))
        }
        [prefix, group, version, rest @ ..] if prefix == "apis" && !rest.is_empty() => {
            Some((group.clone(), version.clone(), rest))
        }
        _ => None,
    }
}

/// Parses `[namespaces/NS/]R[/N[/S[/…]]]`. `namespaces/NS` and its `status` and `finalize` name the
/// namespace itself.
fn resource_of(segments: &[String]) -> Option<ResourceInfo> {
    let (namespace, segments) = match segments {
        [first, namespace, third, ..]
            if first == "namespaces" && third != "status" && third != "finalize" =>
        {
            (namespace.clone(), &segments[2..])
        }
        [first, namespace, ..] if first == "namespaces" => (namespace.clone(), segments),
        _ => (String::new(), segments),
    };
    let mut segments = segments.iter().cloned();
    let resource = segments.next()?;
    let name = segments.next().unwrap_or_default();
    Some(ResourceInfo {
        namespace,
        resource,
        subresource: segments.next().unwrap_or_default(),
        named_by_path: !name.is_empty(),
        name,
        trailing: segments.collect(),
        ..ResourceInfo::default()
    })
}

/// Returns the verb of a request without a verb in its path. Only collections are watched by a
/// query.
fn verb(method: &Method, resource: &mut ResourceInfo, query: &str) -> String {
    let named = resource.named_by_path;
    let verb = match method.as_str() {
        "POST" => "create",
        "GET" | "HEAD" if named => "get",
        "GET" | "HEAD" => {
            let query = Query::parse(query);
            if let Some(name) = selected_name(&query) {
                resource.name = name;
            }
            match query.flag("watch") {
                true => "watch",
                false => "list",
            }
        }
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" if named => "delete",
        "DELETE" => "deletecollection",
        other => return other.to_ascii_lowercase(),
    };
    verb.to_owned()
}

/// Returns the name that a `metadata.name=x` field selector requires. Returns `None` for a
/// malformed selector, which the handler rejects.
fn selected_name(query: &Query) -> Option<String> {
    let selector = FieldSelector::parse(query.value("fieldSelector")?).ok()?;
    selector.exact("metadata.name").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(request: &str, verb: &str, resource: Option<[&str; 6]>) {
        let (method, target) = request.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let info = RequestInfo::parse(&method.parse().unwrap(), path, query).unwrap();
        let found = info.resource.as_ref().map(|r| {
            [
                &r.group,
                &r.version,
                &r.namespace,
                &r.resource,
                &r.name,
                &r.subresource,
            ]
            .map(String::as_str)
        });
        assert_eq!((info.verb.as_str(), found), (verb, resource), "{request}");
    }

    #[test]
    fn requests_are_understood_as_kubernetes_does() {
        let g = "g.io";
        check("GET /", "get", None);
        check("GET /apis", "get", None);
        check("GET /apis/g.io/v1", "get", None);
        check("POST /api/v1", "post", None);
        check("GET /metrics", "get", None);
        check(
            "GET /apis/g.io/v1/rs",
            "list",
            Some([g, "v1", "", "rs", "", ""]),
        );
        check(
            "GET /apis/g.io/v1/rs?watch",
            "watch",
            Some([g, "v1", "", "rs", "", ""]),
        );
        check(
            "GET /apis/g.io/v1/rs?watch=1",
            "watch",
            Some([g, "v1", "", "rs", "", ""]),
        );
        check(
            "GET /apis/g.io/v1/rs?watch=false",
            "list",
            Some([g, "v1", "", "rs", "", ""]),
        );
        check(
            "GET /apis/g.io/v1/rs?watch=0",
            "list",
            Some([g, "v1", "", "rs", "", ""]),
        );
        check(
            "GET /apis/g.io/v1/watch/rs",
            "watch",
            Some([g, "v1", "", "rs", "", ""]),
        );
        check(
            "GET /apis/g.io/v1/watch/rs/x",
            "watch",
            Some([g, "v1", "", "rs", "x", ""]),
        );
        check(
            "GET /apis/g.io/v1/rs/x",
            "get",
            Some([g, "v1", "", "rs", "x", ""]),
        );
        check(
            "GET /apis/g.io/v1/rs/x?watch=1",
            "get",
            Some([g, "v1", "", "rs", "x", ""]),
        );
        check(
            "DELETE /apis/g.io/v1/watch/rs/x",
            "watch",
            Some([g, "v1", "", "rs", "x", ""]),
        );
        check(
            "GET /api/v1/proxy/namespaces/n/rs/x/a",
            "proxy",
            Some(["", "v1", "n", "rs", "x", "a"]),
        );
        check(
            "HEAD /apis/g.io/v1/rs/x",
            "get",
            Some([g, "v1", "", "rs", "x", ""]),
        );
        check(
            "PUT /apis/g.io/v1/rs/x/status",
            "update",
            Some([g, "v1", "", "rs", "x", "status"]),
        );
        check(
            "DELETE /apis/g.io/v1/rs",
            "deletecollection",
            Some([g, "v1", "", "rs", "", ""]),
        );
        check(
            "DELETE /apis/g.io/v1/rs/x",
            "delete",
            Some([g, "v1", "", "rs", "x", ""]),
        );
        check(
            "PATCH /api/v1/namespaces/n/rs/x",
            "patch",
            Some(["", "v1", "n", "rs", "x", ""]),
        );
        check(
            "GET /api/v1/namespaces",
            "list",
            Some(["", "v1", "", "namespaces", "", ""]),
        );
        check(
            "GET /api/v1/namespaces/n",
            "get",
            Some(["", "v1", "n", "namespaces", "n", ""]),
        );
        check(
            "PUT /api/v1/namespaces/n/status",
            "update",
            Some(["", "v1", "n", "namespaces", "n", "status"]),
        );
        check(
            "POST /api/v1/namespaces/n/rs",
            "create",
            Some(["", "v1", "n", "rs", "", ""]),
        );
        check(
            "OPTIONS /apis/g.io/v1/rs",
            "options",
            Some([g, "v1", "", "rs", "", ""]),
        );
    }

    #[test]
    fn a_name_selector_names_the_object_of_a_list_or_watch() {
        let g = "g.io";
        let query = "fieldSelector=metadata.name%3Dx";
        for more in ["", "&watch=1"] {
            let request = format!("GET /apis/g.io/v1/rs?{query}{more}");
            let verb = if more.is_empty() { "list" } else { "watch" };
            check(&request, verb, Some([g, "v1", "", "rs", "x", ""]));
        }
        for (verb, method) in [("create", "POST"), ("deletecollection", "DELETE")] {
            let request = format!("{method} /apis/g.io/v1/rs?{query}");
            check(&request, verb, Some([g, "v1", "", "rs", "", ""]));
        }
    }

    #[test]
    fn a_path_that_is_not_text_is_no_request() {
        assert_eq!(
            RequestInfo::parse(&Method::GET, "/apis/g/v1/rs/%ff", ""),
            None
        );
    }
}
