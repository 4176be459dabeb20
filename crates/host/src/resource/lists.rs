//! Lists over the pages of the host.
//!
//! The host pages in the order of its names, but the store's callers expect the order of keys. So a
//! listing is read completely, sorted, and kept for a while. A caller that continues at its
//! revision gets the rest from memory.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;
use storage::{At, Error, ListOptions, Page, Record, Revision};
use tokio::time::{Instant, interval};

use super::{Call, Failure, Reading, Resource, Topic, Verb, query};

/// Number of objects in a page of the host, as in client-go's pager.
const PAGE: usize = 500;

/// Maximum number of kept listings.
const KEPT: usize = 4;

/// Time that a listing is kept after its last use.
const KEPT_FOR: Duration = Duration::from_secs(30);

/// The state of a prefix at a revision.
#[derive(Clone)]
pub(crate) struct Listing {
    prefix: Arc<str>,
    pub(crate) revision: Revision,
    /// Sorted by key, in byte order.
    records: Arc<[Record]>,
}

/// The most recently used listings.
#[derive(Default)]
pub(crate) struct Kept(Mutex<Vec<(Instant, Listing)>>);

/// A list in the host's format.
#[derive(Deserialize)]
struct List<'a> {
    metadata: ListMeta,
    #[serde(borrow, default)]
    items: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
    #[serde(default, rename = "continue")]
    next: String,
}

impl Resource {
    /// See [`storage::Store::list`].
    pub(crate) async fn list(&self, prefix: &str, options: &ListOptions) -> Result<Page, Error> {
        let listing = match options.at {
            At::Latest => self.load(prefix, None).await?,
            At::Exactly(revision) => self.exactly(prefix, revision).await?,
        };
        if options.at != At::Latest || options.limit.is_some() {
            self.kept.keep(&listing);
        }
        Ok(listing.page(options))
    }

    /// Returns the newest revision of the whole host.
    pub(crate) async fn host_revision(&self) -> Result<Revision, Failure> {
        let mut parameters = self.kind.selectors("");
        parameters.push(("limit", "1".to_owned()));
        let body = self.page(&parameters).await?;
        let list: List<'_> = serde_json::from_slice(&body)?;
        super::revision(&list.metadata.resource_version)
    }

    async fn exactly(&self, prefix: &str, revision: Revision) -> Result<Listing, Error> {
        if self.log.is_forgotten(revision) {
            return Err(self.compacted());
        }
        match self.kept.find(prefix, revision) {
            Some(listing) => Ok(listing),
            None => self.load(prefix, Some(revision)).await,
        }
    }

    async fn load(&self, prefix: &str, at: Option<Revision>) -> Result<Listing, Error> {
        match self.read_pages(prefix, at).await {
            Ok(listing) => Ok(listing),
            Err(failure) if failure.is(http::StatusCode::GONE) => {
                self.log.unlistable();
                Err(self.compacted())
            }
            Err(failure) if failure.is(http::StatusCode::NOT_FOUND) => {
                self.note_absence();
                let position = self.log.position();
                Ok(Listing {
                    prefix: prefix.into(),
                    revision: at.or(position).unwrap_or(Revision::new(1)),
                    records: Arc::default(),
                })
            }
            Err(failure) => Err(failure.into()),
        }
    }

    fn compacted(&self) -> Error {
        let oldest = self.log.compacted();
        Error::Compacted { oldest }
    }

    async fn read_pages(&self, prefix: &str, at: Option<Revision>) -> Result<Listing, Failure> {
        let mut records = Vec::new();
        let mut next = String::new();
        loop {
            let mut parameters = self.kind.selectors(prefix);
            parameters.push(("limit", PAGE.to_string()));
            match at {
                _ if !next.is_empty() => parameters.push(("continue", next)),
                Some(revision) => {
                    parameters.push(("resourceVersion", revision.to_string()));
                    parameters.push(("resourceVersionMatch", "Exact".to_owned()));
                }
                None => {}
            }
            let body = self.page(&parameters).await?;
            let list: List<'_> = serde_json::from_slice(&body)?;
            for item in &list.items {
                match self.kind.read(item)? {
                    Reading::Record(record) if record.key.as_str().starts_with(prefix) => {
                        records.push(record);
                    }
                    Reading::Record(_)
                    | Reading::Removed(..)
                    | Reading::Other(_)
                    | Reading::Misfit(_) => {}
                }
            }
            next = list.metadata.next;
            if next.is_empty() {
                let revision = super::revision(&list.metadata.resource_version)?;
                records.sort_unstable_by(|a, b| a.key.cmp(&b.key));
                return Ok(Listing {
                    prefix: prefix.into(),
                    revision,
                    records: records.into(),
                });
            }
        }
    }

    async fn page(&self, parameters: &[(&str, String)]) -> Result<bytes::Bytes, Failure> {
        let path = query(&self.calls.target().path(), parameters);
        let body = self.calls.send(&Call::new(Verb::List, path)).await?;
        self.calls.troubles().clear(Topic::Resource);
        Ok(body)
    }
}

impl Listing {
    fn page(&self, options: &ListOptions) -> Page {
        let from = options.after.as_ref().map_or(0, |after| {
            self.records.partition_point(|record| record.key <= *after)
        });
        let rest = self.records.get(from..).unwrap_or_default();
        let limit = options.limit.unwrap_or(usize::MAX).min(rest.len());
        Page {
            records: rest.get(..limit).unwrap_or_default().to_vec(),
            revision: self.revision,
            more: limit < rest.len(),
        }
    }
}

impl Kept {
    /// Drops unused listings. Never returns.
    pub(crate) async fn expire(&self) {
        let mut turns = interval(KEPT_FOR / 3);
        loop {
            turns.tick().await;
            let now = Instant::now();
            self.lock().retain(|(used, _)| *used + KEPT_FOR > now);
        }
    }

    fn find(&self, prefix: &str, revision: Revision) -> Option<Listing> {
        let mut kept = self.lock();
        let fits = |listing: &Listing| &*listing.prefix == prefix && listing.revision == revision;
        let found = kept.iter_mut().find(|(_, listing)| fits(listing));
        found.map(|(used, listing)| {
            *used = Instant::now();
            listing.clone()
        })
    }

    /// Keeps a listing, and drops the least recently used one if there are too many.
    fn keep(&self, listing: &Listing) {
        let mut kept = self.lock();
        let same = |old: &Listing| old.prefix == listing.prefix && old.revision == listing.revision;
        kept.retain(|(_, old)| !same(old));
        kept.sort_by_key(|(used, _)| *used);
        let surplus = (kept.len() + 1).saturating_sub(KEPT);
        kept.drain(..surplus);
        kept.push((Instant::now(), listing.clone()));
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, Vec<(Instant, Listing)>> {
        self.0.lock()
    }
}
