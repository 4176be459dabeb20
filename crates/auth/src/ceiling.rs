//! Ceilings: limits of what a credential may do, in addition to the permissions of its user.
//!
//! A request passes if it is permitted by the ceiling **and** by the user's permissions. A ceiling
//! alone permits nothing. It has up to three parts, and a request must pass all that are present:
//!
//! | part | passes |
//! |---|---|
//! | read only | `get`, `list` and `watch` of resources other than Secrets, without `exec`, `attach`, `portforward`, `proxy` and upgraded connections; `get` of paths |
//! | namespaces | resources in these namespaces, and the namespaces themselves |
//! | rules | what RBAC would permit by these rules |
//!
//! Impersonation never passes. A write of a role, a role binding or a ClusterGrant passes rules only
//! if they also contain the verb with which RBAC permits escalation, `escalate` or `bind`: RBAC would
//! compare the permissions of the user, and not the rules, with those that are given away.
//!
//! Discovery and reviews of the caller itself always pass: kubectl needs them, and they give no
//! access. A path that API servers could read in different ways never passes
//! ([`is_unambiguous`]). So no ceiling passes a request that RBAC would refuse by the same rules.

use std::sync::Arc;

use k8s_openapi::api::authorization::v1::{NonResourceRule, ResourceRule};
use k8s_openapi::api::rbac::v1::PolicyRule;
use percent_encoding::percent_decode_str;

use crate::authorizer::{Attributes, Rules, Target};
use crate::rbac::rule::{self, listed};

/// Verbs that read resources.
const READS: [&str; 3] = ["get", "list", "watch"];

/// Verbs that write an object.
const WRITES: [&str; 3] = ["create", "patch", "update"];

/// The verb of impersonation, and the prefix of its variants.
const IMPERSONATE: &str = "impersonate";

/// Methods that read paths.
const PATH_READS: [&str; 3] = ["get", "head", "options"];

/// Subresources that act through a GET.
const ACTING: [&str; 4] = ["attach", "exec", "portforward", "proxy"];

/// Paths that every client needs to find its way, as in the roles `system:discovery` and
/// `system:public-info-viewer` of Kubernetes.
const DISCOVERY: [&str; 10] = [
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi",
    "/openapi/*",
    "/readyz",
    "/version",
];

/// The note on a list of rules that cannot express a ceiling.
const INEXACT: &str =
    "the credential is read-only: secrets, exec, attach, portforward and proxy are not permitted";

/// A limit of what a credential may do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ceiling {
    /// Whether only reads pass.
    pub read_only: bool,
    /// The namespaces whose resources pass. When empty, those of all namespaces and of none pass.
    pub namespaces: Vec<String>,
    /// The rules of RBAC of which one must permit a request. When empty, none must.
    pub rules: Vec<PolicyRule>,
}

/// The ceilings of a credential.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ceilings {
    /// Ceilings that a request must pass, each of them.
    pub all: Vec<Arc<Ceiling>>,
    /// Ceilings of which a request must pass one. When empty, it must pass none.
    pub any: Vec<Arc<Ceiling>>,
}

impl Ceilings {
    /// Returns whether all requests may pass.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty() && self.any.is_empty()
    }

    /// Returns whether a request may pass.
    pub fn permits(&self, attributes: &Attributes) -> bool {
        self.hold(|ceiling| ceiling.permits(attributes))
    }

    /// Returns whether a request may become a connection in both directions.
    pub fn permits_upgrade(&self, attributes: &Attributes) -> bool {
        self.hold(|ceiling| ceiling.permits_upgrade(attributes))
    }

    /// Returns those of a user's rules that may pass in a namespace.
    pub fn limit(&self, rules: Rules, namespace: &str) -> Rules {
        let mut rules = rules;
        for ceiling in &self.all {
            rules = ceiling.limit(rules, namespace);
        }
        let mut limited = self.any.iter().map(|it| it.limit(rules.clone(), namespace));
        let Some(first) = limited.next() else {
            return rules;
        };
        limited.fold(first, joined)
    }

    fn hold(&self, permits: impl Fn(&Ceiling) -> bool) -> bool {
        self.all.iter().all(|it| permits(it))
            && (self.any.is_empty() || self.any.iter().any(|it| permits(it)))
    }
}

/// Returns the rules of both, once each.
fn joined(mut rules: Rules, others: Rules) -> Rules {
    for rule in others.resource_rules {
        if !rules.resource_rules.contains(&rule) {
            rules.resource_rules.push(rule);
        }
    }
    for rule in others.non_resource_rules {
        if !rules.non_resource_rules.contains(&rule) {
            rules.non_resource_rules.push(rule);
        }
    }
    rules.incomplete |= others.incomplete;
    rules.evaluation_error = rules.evaluation_error.or(others.evaluation_error);
    rules
}

impl Ceiling {
    /// Returns whether a request may pass.
    pub fn permits(&self, attributes: &Attributes) -> bool {
        if is_always_permitted(attributes) {
            return true;
        }
        // The ceiling would not limit the other user.
        let impersonates = attributes.verb.starts_with(IMPERSONATE);
        !impersonates
            && (!self.read_only || is_read(attributes))
            && (self.namespaces.is_empty() || self.is_in_namespace(attributes))
            && self.rules_permit(attributes)
            && self.permits_escalation(attributes)
    }

    fn rules_permit(&self, attributes: &Attributes) -> bool {
        self.rules.is_empty() || self.rules.iter().any(|it| rule::allows(it, attributes))
    }

    /// Returns whether the rules permit to give away permissions that they do not contain, if the
    /// request can do so.
    fn permits_escalation(&self, attributes: &Attributes) -> bool {
        let Target::Resource {
            group, resource, ..
        } = &attributes.target
        else {
            return true;
        };
        let is_write = WRITES.contains(&attributes.verb.as_str());
        let escalations: &[(&str, &str)] = match (group.as_str(), resource.as_str()) {
            _ if !is_write => &[],
            ("rbac.authorization.k8s.io", "roles") => &[("escalate", "roles")],
            ("rbac.authorization.k8s.io", "clusterroles") => &[("escalate", "clusterroles")],
            ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => {
                &[("bind", "roles"), ("bind", "clusterroles")]
            }
            ("ext.cattle.io", "clustergrants") => &[("escalate", "clustergrants")],
            _ => &[],
        };
        escalations.iter().all(|(verb, resource)| {
            let needed = Attributes::resource(verb, group, resource);
            self.rules_permit(&needed)
        })
    }

    /// Returns whether a request may pass and become a connection in both directions. Kubernetes
    /// requires the verb `create` for those that act.
    pub fn permits_upgrade(&self, attributes: &Attributes) -> bool {
        let create = Attributes {
            verb: "create".to_owned(),
            ..attributes.clone()
        };
        let is_watch = attributes.verb == "watch";
        self.permits(attributes) && (is_watch || !self.read_only && self.permits(&create))
    }

    /// Returns those of a user's rules that may pass in a namespace, as far as rules can express
    /// it.
    pub fn limit(&self, rules: Rules, namespace: &str) -> Rules {
        let namespaces = &self.namespaces;
        let passes_namespace =
            namespaces.is_empty() || namespaces.iter().any(|passing| passing == namespace);
        let limits = self.rules_or_all();
        let resource_rules = rules.resource_rules.iter().flat_map(|held| {
            let limits = limits.iter();
            let limited = limits.filter_map(|limit| common_resources(held, limit));
            limited.filter_map(|rule| self.limit_verbs(rule))
        });
        let paths = rules.non_resource_rules.iter().flat_map(|held| {
            let limits = limits.iter();
            let limited = limits.filter_map(|limit| common_paths(held, limit));
            limited.filter_map(|rule| self.limit_path_verbs(rule))
        });
        let has_wildcard = rules.resource_rules.iter().any(|rule| {
            let resources = listed(&rule.resources);
            resources.iter().any(|resource| resource == rule::ALL)
        });
        let is_inexact = self.read_only && passes_namespace && has_wildcard;
        let inexact = is_inexact.then(|| INEXACT.to_owned());
        Rules {
            incomplete: rules.incomplete || is_inexact,
            evaluation_error: rules.evaluation_error.clone().or(inexact),
            resource_rules: match passes_namespace {
                true => resource_rules.collect(),
                false => Vec::new(),
            },
            non_resource_rules: match self.namespaces.is_empty() {
                true => paths.collect(),
                false => Vec::new(),
            },
        }
    }

    fn is_in_namespace(&self, attributes: &Attributes) -> bool {
        match &attributes.target {
            Target::Resource { namespace, .. } => self.namespaces.contains(namespace),
            Target::Path(_) => false,
        }
    }

    fn rules_or_all(&self) -> Vec<PolicyRule> {
        match self.rules.is_empty() {
            false => self.rules.clone(),
            true => {
                let all = || Some(vec![rule::ALL.to_owned()]);
                vec![PolicyRule {
                    api_groups: all(),
                    resources: all(),
                    non_resource_urls: all(),
                    verbs: vec![rule::ALL.to_owned()],
                    ..PolicyRule::default()
                }]
            }
        }
    }

    fn limit_verbs(&self, mut held: ResourceRule) -> Option<ResourceRule> {
        if self.read_only {
            held.verbs = common(&held.verbs, &READS.map(str::to_owned));
            let resources = held.resources.iter().flatten();
            let readable = resources.filter(|name| {
                let (resource, subresource) = name.split_once('/').unwrap_or((name, ""));
                resource != "secrets" && !ACTING.contains(&subresource)
            });
            held.resources = Some(readable.cloned().collect());
        }
        let is_empty = held.verbs.is_empty() || listed(&held.resources).is_empty();
        (!is_empty).then_some(held)
    }

    fn limit_path_verbs(&self, mut held: NonResourceRule) -> Option<NonResourceRule> {
        if self.read_only {
            held.verbs = common(&held.verbs, &PATH_READS.map(str::to_owned));
        }
        (!held.verbs.is_empty()).then_some(held)
    }
}

/// Returns whether all API servers read a raw path in the same way: without empty segments, dots as
/// segments, and encoded characters that separate or change segments.
pub fn is_unambiguous(path: &str) -> bool {
    let Some(path) = path.strip_prefix('/') else {
        return false;
    };
    let path = path.strip_suffix('/').unwrap_or(path);
    path.is_empty() || path.split('/').all(is_plain_segment)
}

fn is_plain_segment(segment: &str) -> bool {
    let Ok(decoded) = percent_decode_str(segment).decode_utf8() else {
        return false;
    };
    let has_odd_character = decoded.chars().any(|character| {
        character.is_control() || matches!(character, '/' | '\\' | '%' | '?' | '#' | ';')
    });
    !has_odd_character && !matches!(&*decoded, "" | "." | "..")
}

fn is_always_permitted(attributes: &Attributes) -> bool {
    match &attributes.target {
        Target::Path(path) => {
            attributes.verb == "get"
                && DISCOVERY
                    .iter()
                    .any(|pattern| rule::url_covers(pattern, path))
        }
        Target::Resource {
            group,
            resource,
            subresource,
            namespace,
            ..
        } => {
            attributes.verb == "create"
                && subresource.is_empty()
                && namespace.is_empty()
                && matches!(
                    (group.as_str(), resource.as_str()),
                    ("authentication.k8s.io", "selfsubjectreviews")
                        | (
                            "authorization.k8s.io",
                            "selfsubjectaccessreviews" | "selfsubjectrulesreviews"
                        )
                )
        }
    }
}

fn is_read(attributes: &Attributes) -> bool {
    let verb = attributes.verb.as_str();
    match &attributes.target {
        Target::Path(_) => PATH_READS.contains(&verb),
        Target::Resource {
            group,
            resource,
            subresource,
            ..
        } => {
            READS.contains(&verb)
                && resource != rule::ALL
                && !(resource == "secrets" && matches!(group.as_str(), "" | rule::ALL))
                && !ACTING.contains(&subresource.as_str())
        }
    }
}

/// Returns the part of a user's rule that is within a rule of a ceiling.
fn common_resources(held: &ResourceRule, limit: &PolicyRule) -> Option<ResourceRule> {
    let groups = common(listed(&held.api_groups), listed(&limit.api_groups));
    let resources = common_by(
        listed(&held.resources),
        listed(&limit.resources),
        covers_resource,
    );
    let verbs = common(&held.verbs, &limit.verbs);
    let (own, limiting) = (listed(&held.resource_names), listed(&limit.resource_names));
    let names = match (own, limiting) {
        ([], names) | (names, []) => names.to_vec(),
        (own, limiting) => {
            let names = own.iter().filter(|name| limiting.contains(name));
            let names: Vec<String> = names.cloned().collect();
            if names.is_empty() {
                return None;
            }
            names
        }
    };
    if groups.is_empty() || resources.is_empty() || verbs.is_empty() {
        return None;
    }
    Some(ResourceRule {
        api_groups: Some(groups),
        resources: Some(resources),
        resource_names: Some(names).filter(|names| !names.is_empty()),
        verbs,
    })
}

fn common_paths(held: &NonResourceRule, limit: &PolicyRule) -> Option<NonResourceRule> {
    let (own, limiting) = (
        listed(&held.non_resource_urls),
        listed(&limit.non_resource_urls),
    );
    let urls = common_by(own, limiting, rule::url_covers);
    let verbs = common(&held.verbs, &limit.verbs);
    (!urls.is_empty() && !verbs.is_empty()).then_some(NonResourceRule {
        non_resource_urls: Some(urls),
        verbs,
    })
}

fn common(own: &[String], limiting: &[String]) -> Vec<String> {
    common_by(own, limiting, |pattern, text| {
        pattern == rule::ALL || pattern == text
    })
}

/// Returns the narrower of each two texts of which one covers the other.
fn common_by(
    own: &[String],
    limiting: &[String],
    covers: impl Fn(&str, &str) -> bool,
) -> Vec<String> {
    let mut common: Vec<String> = Vec::new();
    for one in own {
        for other in limiting {
            let narrower = match (covers(other, one), covers(one, other)) {
                (true, _) => one,
                (_, true) => other,
                _ => continue,
            };
            if !common.contains(narrower) {
                common.push(narrower.clone());
            }
        }
    }
    common
}

fn covers_resource(pattern: &str, name: &str) -> bool {
    let (resource, subresource) = name.split_once('/').unwrap_or((name, ""));
    pattern == name || rule::resource_matches(pattern, resource, subresource)
}

#[cfg(test)]
mod tests;
