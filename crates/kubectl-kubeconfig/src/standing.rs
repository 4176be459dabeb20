//! The status of records at their servers, as far as the logins of the user can see them.

use std::collections::BTreeMap;

use api::ext::Kubeconfig;
use machinery::time::Clock;

use crate::access::Access;
use crate::files::origin::Origin;
use crate::folder::Folder;
use crate::record;
use crate::server_url::ServerUrl;
use crate::session;

/// The status of a record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Standing {
    /// The record exists.
    There(Box<Kubeconfig>),
    /// The record does not exist, as seen by an account that would see it.
    Gone,
    /// The status is unknown, for this reason.
    Unknown(String),
}

/// The records that a login sees.
struct Seen {
    account: String,
    records: Result<BTreeMap<String, Kubeconfig>, String>,
}

/// A cache of the records at each server, with one request for each login.
pub(crate) struct Standings<'a> {
    folder: &'a Folder,
    clock: &'a dyn Clock,
    seen: BTreeMap<String, Vec<Seen>>,
}

impl<'a> Standings<'a> {
    pub(crate) fn new(folder: &'a Folder, clock: &'a dyn Clock) -> Self {
        Self {
            folder,
            clock,
            seen: BTreeMap::new(),
        }
    }

    /// Returns the status of the record that a context belongs to.
    pub(crate) async fn of(&mut self, origin: &Origin) -> Standing {
        let Some(server) = origin.server_url() else {
            return Standing::Unknown(format!("invalid server {:?}", origin.server));
        };
        if !self.seen.contains_key(server.as_str()) {
            let seen = self.ask(&server).await;
            self.seen.insert(server.as_str().to_owned(), seen);
        }
        let seen = self.seen.get(server.as_str()).map(Vec::as_slice);
        standing(origin, seen.unwrap_or_default())
    }

    async fn ask(&self, server: &ServerUrl) -> Vec<Seen> {
        let mut seen = Vec::new();
        for session in session::at(self.folder, server, None).unwrap_or_default() {
            let records = async {
                let access = Access::by_login(self.folder, &session, self.clock).await?;
                record::all(&access).await
            };
            seen.push(Seen {
                records: records.await.map_err(|error| format!("{error:#}")),
                account: session.account,
            });
        }
        seen
    }
}

/// Determines the status of a record. It is gone if its owner does not see it. If the owner is
/// unknown, it is gone if none of the user's accounts sees it: for them the record is of no use
/// either way.
fn standing(origin: &Origin, seen: &[Seen]) -> Standing {
    let found = seen
        .iter()
        .filter_map(|it| it.records.as_ref().ok()?.get(&origin.kubeconfig));
    if let Some(record) = found.into_iter().next() {
        return Standing::There(Box::new(record.clone()));
    }
    if let Some(why) = seen.iter().find_map(|it| it.records.as_ref().err()) {
        return Standing::Unknown(why.clone());
    }
    let knows = |it: &Seen| origin.user.is_empty() || it.account == origin.user;
    match seen.iter().any(knows) {
        true => Standing::Gone,
        false if origin.user.is_empty() => {
            Standing::Unknown(format!("you are not logged in at {}", origin.server))
        }
        false => Standing::Unknown(format!(
            "you are not logged in at {} as {}",
            origin.server, origin.user
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(account: &str, records: Result<&[&str], &str>) -> Seen {
        let named = |names: &[&str]| {
            let named = names
                .iter()
                .map(|&name| (name.to_owned(), Kubeconfig::default()));
            named.collect()
        };
        Seen {
            account: account.to_owned(),
            records: records.map(named).map_err(str::to_owned),
        }
    }

    #[test]
    fn a_record_is_gone_only_where_its_owner_says_so() {
        let there = || Standing::There(Box::default());
        let unknown = |why: &str| Standing::Unknown(why.to_owned());
        let away = "you are not logged in at https://a.b as alice";
        for (owner, seen, expected) in [
            ("alice", vec![seen("alice", Ok(&["k"]))], there()),
            ("alice", vec![seen("admin", Ok(&["k"]))], there()),
            ("alice", vec![seen("alice", Ok(&["other"]))], Standing::Gone),
            (
                "alice",
                vec![seen("bob", Ok(&[])), seen("alice", Ok(&[]))],
                Standing::Gone,
            ),
            ("alice", vec![seen("bob", Ok(&[]))], unknown(away)),
            ("alice", vec![seen("alice", Err("down"))], unknown("down")),
            (
                "alice",
                vec![seen("alice", Ok(&[])), seen("bob", Err("down"))],
                unknown("down"),
            ),
            ("alice", vec![], unknown(away)),
            ("", vec![seen("bob", Ok(&[]))], Standing::Gone),
            ("", vec![], unknown("you are not logged in at https://a.b")),
        ] {
            let origin = Origin {
                server: "https://a.b".to_owned(),
                kubeconfig: "k".to_owned(),
                user: owner.to_owned(),
            };
            assert_eq!(standing(&origin, &seen), expected);
        }
    }
}
