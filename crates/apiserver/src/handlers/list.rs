//! GET of a collection.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response};
use machinery::meta::ListMeta;
use machinery::status::Status;
use storage::cache::View;
use storage::{Key, Revision};

use super::selection::Selection;
use super::{Call, list_body};
use crate::continue_token::ContinueToken;
use crate::description::Verb;
use crate::options::{ListOptions, RequestedVersion, VersionMatch};
use crate::resource::{Resource, Visibility};
use crate::respond::Representation;
use crate::stored_object::StoredObject;

/// One page of a list.
pub(crate) struct Page {
    /// The objects, sorted by key.
    pub(crate) items: Vec<Arc<StoredObject>>,
    /// The resource version, the continue token and the number of remaining objects.
    pub(crate) metadata: ListMeta,
}

pub(super) async fn handle<R: Resource>(
    call: Call<'_, R>,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let representation = Representation::of_list(&request, call.cx)?;
    let options = ListOptions::for_list(&call.cx.query)?;
    let selection = Selection::of(&call, Verb::List, &options).await?;
    let page = page(&call, &selection, &options).await?;
    list_body::respond(&call, &representation, page)
}

/// Returns the page that the options request.
///
/// # Errors
/// 400 for a bad continue token; 410 for a version that is gone; 504 for one that does not exist
/// yet.
pub(crate) async fn page<R: Resource>(
    call: &Call<'_, R>,
    selection: &Selection,
    options: &ListOptions,
) -> Result<Page, Status> {
    let Start {
        state,
        after,
        expected,
    } = start(call, selection, options).await?;
    selection.warn_of_broken(call, &call.resource.registry().cache().view());
    let mut items = Vec::new();
    let mut last: Option<&Key> = None;
    let mut remaining = 0;
    for (key, object) in state.objects(selection, after.as_deref()) {
        if !selection.admits(key, object).await? {
            continue;
        }
        if options.limit == 0 || items.len() < options.limit {
            let personal = call.resource.personal(call.cx, object);
            items.push(personal.unwrap_or_else(|| Arc::clone(object)));
            last = Some(key);
            continue;
        }
        remaining += 1;
        if selection.is_partial() || expected.is_some() {
            break;
        }
    }
    if let Some(expected) = expected.filter(|_| remaining > 0) {
        remaining = expected.saturating_sub(items.len() as u64).max(1);
    }
    let mut metadata = ListMeta {
        resource_version: state.revision().to_string(),
        ..ListMeta::default()
    };
    if let Some(last) = last.filter(|_| remaining > 0) {
        let behind = last
            .as_str()
            .strip_prefix(&selection.prefix)
            .unwrap_or_default();
        let remaining = (!selection.is_partial()).then_some(remaining);
        let token = ContinueToken {
            revision: Some(state.revision()),
            after: behind.to_owned(),
            remaining,
        };
        metadata.continue_ = token.encode();
        metadata.remaining_item_count = remaining.map(u64::cast_signed);
    }
    Ok(Page { items, metadata })
}

/// The start of a page.
struct Start {
    state: State,
    /// The key of the last object of the previous page.
    after: Option<String>,
    /// The number of objects after it, if the continue token contains it.
    expected: Option<u64>,
}

impl Start {
    fn first(state: State) -> Self {
        Self {
            state,
            after: None,
            expected: None,
        }
    }
}

/// The state that a page shows.
enum State {
    /// The state of the cache at a version.
    Cached(Revision, View<StoredObject>),
    /// The state of the store at an older version.
    Past(Revision, Vec<(Key, Arc<StoredObject>)>),
}

impl State {
    fn now(view: View<StoredObject>) -> Self {
        Self::Cached(view.revision, view)
    }

    fn revision(&self) -> Revision {
        match self {
            Self::Cached(revision, _) | Self::Past(revision, _) => *revision,
        }
    }

    /// Returns the candidates for the selection, sorted by key. The objects of one owner are found
    /// by index, without a scan of all others.
    fn objects<'a>(
        &'a self,
        selection: &'a Selection,
        after: Option<&'a str>,
    ) -> Box<dyn Iterator<Item = (&'a Key, &'a Arc<StoredObject>)> + Send + 'a> {
        match self {
            Self::Cached(_, view) => match selection.visibility() {
                Visibility::OwnedBy { name, .. } => Box::new(
                    view.indexed_range(name, &selection.prefix, after)
                        .map(|object| (object.key(), object)),
                ),
                _ => Box::new(view.range(&selection.prefix, after)),
            },
            Self::Past(_, objects) => Box::new(
                objects
                    .iter()
                    .map(|(key, object)| (key, object))
                    .filter(move |(key, _)| after.is_none_or(|after| key.as_str() > after)),
            ),
        }
    }
}

async fn start<R: Resource>(
    call: &Call<'_, R>,
    selection: &Selection,
    options: &ListOptions,
) -> Result<Start, Status> {
    if let Some(token) = &options.continue_token {
        if options.resource_version != RequestedVersion::Unset {
            return Err(Status::continue_with_version());
        }
        let token = ContinueToken::decode(token)?;
        let after = format!("{}{}", selection.prefix, token.after);
        let (state, expected) = match token.revision {
            None => (
                State::now(call.resource.registry().store().latest().await?),
                None,
            ),
            Some(revision) => {
                let state = exactly(call, selection, revision).await;
                let state = state.map_err(|status| expired(status, &token))?;
                (state, token.remaining)
            }
        };
        return Ok(Start {
            state,
            after: Some(after),
            expected,
        });
    }
    let registry = call.resource.registry();
    let exact = options.version_match == Some(VersionMatch::Exact)
        || (options.version_match.is_none() && options.limit > 0);
    let state = match options.resource_version {
        RequestedVersion::Unset => State::now(registry.store().latest().await?),
        RequestedVersion::Any => State::now(registry.cache().view()),
        RequestedVersion::At(revision) if exact => exactly(call, selection, revision).await?,
        RequestedVersion::At(revision) => {
            State::now(registry.store().not_older_than(revision).await?)
        }
    };
    Ok(Start::first(state))
}

/// Returns the state at a version: from the history of the cache if it goes back that far,
/// otherwise from that of the store.
async fn exactly<R: Resource>(
    call: &Call<'_, R>,
    selection: &Selection,
    revision: Revision,
) -> Result<State, Status> {
    let registry = call.resource.registry();
    registry.store().not_older_than(revision).await?;
    if let Some(view) = registry.collection().at(revision) {
        return Ok(State::Cached(revision, view));
    }
    let objects = registry.store().past(&selection.prefix, revision).await?;
    Ok(State::Past(revision, objects))
}

/// Adds a token to a 410. The token continues the list at the newest state.
fn expired(status: Status, token: &ContinueToken) -> Status {
    if status.http_code() != 410 {
        return status;
    }
    let inconsistent = ContinueToken {
        revision: None,
        after: token.after.clone(),
        remaining: None,
    };
    Status::expired_continue(inconsistent.encode())
}
