//! Responses to requests that exceed a quota.

use api::management::setting;
use apiserver::registry::Registry;
use apiserver::request_context::RequestContext;
use apiserver::stored_object::StoredObject;
use machinery::meta::{GroupResource, Object};
use machinery::status::Status;

/// Number of records that a response names.
const NAMED: usize = 3;

/// A limit that a request exceeds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Limit {
    Kubeconfigs,
    Tokens,
    Bytes,
    BytesPerMinute,
    CreatesPerMinute,
}

/// A request that exceeds a limit of the owner of the records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Excess {
    pub(super) limit: Limit,
    pub(super) requested: usize,
    pub(super) used: usize,
    pub(super) limited: usize,
}

impl Limit {
    fn setting(self) -> &'static str {
        match self {
            Self::Kubeconfigs => setting::KUBECONFIG_MAX_PER_USER,
            Self::Tokens => setting::AUTH_TOKEN_MAX_PER_USER,
            Self::Bytes | Self::BytesPerMinute => setting::KUBECONFIG_MAX_BYTES_PER_USER,
            Self::CreatesPerMinute => setting::KUBECONFIG_MAX_CREATES_PER_MINUTE,
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Kubeconfigs => "kubeconfigs",
            Self::Tokens => "tokens",
            Self::Bytes => "bytes",
            Self::BytesPerMinute => "bytes written in a minute",
            Self::CreatesPerMinute => "creates in a minute",
        }
    }
}

impl Excess {
    /// Returns the 403 for a request, in the words of Kubernetes' ResourceQuota. It names records
    /// of the user that could be deleted.
    pub(super) fn refuse<T: Object>(
        self,
        cx: &RequestContext,
        records: &Registry<T>,
        user: &str,
    ) -> Status {
        let Self {
            limit,
            requested,
            used,
            limited,
        } = self;
        let (setting, unit) = (limit.setting(), limit.unit());
        let kind = records.group_resource();
        let mut text = format!(
            "exceeded quota: {setting}, requested: {unit}={requested}, used: {unit}={used}, limited: {unit}={limited}"
        );
        let (order, names) = self.expendable(records, user);
        if !names.is_empty() {
            text.push_str(&format!(
                ": delete records that are expired, suspended or no longer needed; {order}: kubectl delete {kind} {names}"
            ));
        }
        match &cx.info.resource {
            Some(asked) => {
                let resource = GroupResource::new(asked.group.clone(), asked.resource.clone());
                Status::forbidden(&resource, &asked.name, &text)
            }
            None => Status::forbidden(kind, "", &text),
        }
    }

    /// Returns some records of the user: the largest if the limit is on bytes, otherwise those that
    /// were not changed for the longest time.
    fn expendable<T: Object>(self, records: &Registry<T>, user: &str) -> (&'static str, String) {
        let view = records.cache().view();
        let mut own: Vec<&StoredObject> = view.indexed(user).map(|object| &**object).collect();
        let order = match self.limit {
            Limit::Bytes => {
                own.sort_unstable_by_key(|object| std::cmp::Reverse(object.json().len()));
                "the largest are"
            }
            _ => {
                own.sort_unstable_by_key(|object| object.revision());
                "the oldest are"
            }
        };
        let names = own.iter().take(NAMED).map(|object| object.name());
        (order, names.collect::<Vec<_>>().join(" "))
    }
}

/// Returns the 429 with the seconds to wait.
pub(super) fn too_fast(limit: Limit, limited: usize, secs: u32) -> Status {
    let (setting, unit) = (limit.setting(), limit.unit());
    let text =
        format!("exceeded quota: {setting}, limited: {unit}={limited}: try again in {secs} s");
    Status::too_many_requests(text, secs)
}
