//! The options of list, watch and deletecollection.

use std::time::Duration;

use machinery::field_selector::FieldSelector;
use machinery::label_selector::LabelSelector;
use machinery::status::Status;
use machinery::validation;

use super::{RequestedVersion, invalid};
use crate::query::Query;

/// The relation between the requested version and the version of the response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum VersionMatch {
    /// The state at exactly the requested version.
    Exact,
    /// The state at the requested version or any later one.
    NotOlderThan,
}

/// The options of list, watch and deletecollection.
#[derive(Clone, Debug)]
pub(crate) struct ListOptions {
    /// The label selector.
    pub(crate) labels: LabelSelector,
    /// The field selector.
    pub(crate) fields: FieldSelector,
    /// The requested version.
    pub(crate) resource_version: RequestedVersion,
    /// The relation to the requested version.
    pub(crate) version_match: Option<VersionMatch>,
    /// The maximum number of objects in the response; 0 for all.
    pub(crate) limit: usize,
    /// The continue token of the previous response.
    pub(crate) continue_token: Option<String>,
    /// True if a watch may send bookmarks.
    pub(crate) allow_bookmarks: bool,
    /// True if a watch starts with the current state, followed by a bookmark.
    pub(crate) send_initial_events: Option<bool>,
    /// The maximum duration of a watch.
    pub(crate) timeout: Option<Duration>,
}

impl ListOptions {
    /// Parses and validates the options of a list or deletecollection.
    ///
    /// # Errors
    /// 400 for malformed values; 422 for invalid combinations.
    pub(crate) fn for_list(query: &Query) -> Result<Self, Status> {
        let options = Self::parse(query)?;
        invalid("ListOptions", &validation::list_options(&as_sent(query)))?;
        Ok(options)
    }

    /// Parses and validates the options of a watch.
    ///
    /// # Errors
    /// As for [`ListOptions::for_list`].
    pub(crate) fn for_watch(query: &Query) -> Result<Self, Status> {
        let mut options = Self::parse(query)?;
        invalid(
            "ListOptions",
            &validation::watch_options(&as_sent(query), true),
        )?;
        // apimachinery `SetListOptionsDefaults`: a legacy watch that starts with the current state
        // is a WatchList.
        let legacy = !matches!(options.resource_version, RequestedVersion::At(_));
        if options.send_initial_events.is_none() && legacy {
            options.send_initial_events = Some(true);
        }
        Ok(options)
    }

    fn parse(query: &Query) -> Result<Self, Status> {
        let labels = LabelSelector::parse(query.value("labelSelector").unwrap_or_default())
            .map_err(|error| Status::bad_request(error.to_string()))?;
        let fields = FieldSelector::parse(query.value("fieldSelector").unwrap_or_default())
            .map_err(|error| Status::bad_request(error.to_string()))?;
        let limit = query.integer("limit")?.unwrap_or_default();
        let timeout = query.integer("timeoutSeconds")?.unwrap_or_default();
        Ok(Self {
            labels,
            fields,
            resource_version: RequestedVersion::parse(query.value("resourceVersion"))?,
            version_match: match query.text("resourceVersionMatch") {
                Some("Exact") => Some(VersionMatch::Exact),
                Some("NotOlderThan") => Some(VersionMatch::NotOlderThan),
                _ => None,
            },
            limit: usize::try_from(limit).unwrap_or_default(),
            continue_token: query.text("continue").map(str::to_owned),
            allow_bookmarks: query.flag("allowWatchBookmarks"),
            send_initial_events: query.optional_flag("sendInitialEvents"),
            timeout: u64::try_from(timeout)
                .ok()
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs),
        })
    }
}

/// Returns the options as the client sent them, for the validation rules.
fn as_sent(query: &Query) -> validation::ListOptions<'_> {
    validation::ListOptions {
        resource_version: query.value("resourceVersion").unwrap_or_default(),
        resource_version_match: query.value("resourceVersionMatch").unwrap_or_default(),
        continue_: query.value("continue").unwrap_or_default(),
        send_initial_events: query.optional_flag("sendInitialEvents"),
    }
}
