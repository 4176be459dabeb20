//! The 403 for a request that an authorizer denied (apiserver
//! `pkg/endpoints/handlers/responsewriters/errors.go`).

use crate::meta::GroupResource;
use crate::quote::quote;

use super::Status;

/// A request that an authorizer denied.
#[derive(Clone, Copy, Debug)]
pub struct Denial<'a> {
    /// Name of the user.
    pub user: &'a str,
    /// Verb of the request.
    pub verb: &'a str,
    /// The target of the request.
    pub target: DeniedTarget<'a>,
    /// The reason of the authorizer; may be empty.
    pub reason: &'a str,
}

/// The target of a denied request.
#[derive(Clone, Copy, Debug)]
pub enum DeniedTarget<'a> {
    /// A path that is not a resource.
    Path(&'a str),
    /// A resource. Texts are empty if the request names no subresource, namespace or object.
    Resource {
        /// Group and plural name.
        resource: &'a GroupResource,
        /// Subresource, e.g. `status`.
        subresource: &'a str,
        /// Namespace; empty at the cluster scope.
        namespace: &'a str,
        /// Name of the object.
        name: &'a str,
    },
}

impl Status {
    /// Creates a 403: the authorizer denied the request. Parts of the request are escaped, so that
    /// no browser takes them for HTML.
    #[must_use]
    pub fn denied(denial: &Denial<'_>) -> Status {
        let mut text = escape_html(&denial.sentence());
        if !denial.reason.is_empty() {
            text.push_str(": ");
            text.push_str(denial.reason);
        }
        match denial.target {
            DeniedTarget::Path(_) => Status::forbidden(&GroupResource::default(), "", &text),
            DeniedTarget::Resource { resource, name, .. } => {
                Status::forbidden(resource, name, &text)
            }
        }
    }
}

impl Denial<'_> {
    fn sentence(&self) -> String {
        let who = format!("User {} cannot {}", quote(self.user), self.verb);
        let (resource, subresource, namespace) = match self.target {
            DeniedTarget::Path(path) => return format!("{who} path {}", quote(path)),
            DeniedTarget::Resource {
                resource,
                subresource,
                namespace,
                ..
            } => (resource, subresource, namespace),
        };
        let name = match subresource {
            "" => quote(&resource.resource),
            _ => quote(&format!("{}/{subresource}", resource.resource)),
        };
        let place = match namespace {
            "" => "at the cluster scope".to_owned(),
            _ => format!("in the namespace {}", quote(namespace)),
        };
        format!(
            "{who} resource {name} in API group {} {place}",
            quote(&resource.group)
        )
    }
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
