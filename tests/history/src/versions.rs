//! Checks of versions against time: a write has a higher version than everything observed before it
//! was invoked, and a list no lower version than that.

use crate::change_log::ChangeLog;
use crate::fault::{Fault, Law};
use crate::history::{Delivery, History, Outcome};
use crate::time::Time;

/// An event at one moment that is relevant to versions.
enum Moment {
    /// A call was invoked whose version must be higher than this.
    Higher { version: u64, what: String },
    /// A list was invoked whose version must be at least this.
    NoLower { version: u64, what: String },
    /// A version was observed.
    Seen(u64),
}

pub(crate) fn faults(history: &History, log: &ChangeLog<'_>) -> Vec<Fault> {
    let mut moments = moments(history, log);
    // At the same time, invocations come first: then the two are concurrent.
    moments.sort_by_key(|(at, moment)| (*at, matches!(moment, Moment::Seen(_))));
    let mut highest = 0;
    let mut faults = Vec::new();
    for (_, moment) in moments {
        match moment {
            Moment::Seen(version) => highest = highest.max(version),
            Moment::Higher { version, what } if version <= highest => faults.push(Fault::new(
                Law::VersionsFollowTime,
                format!("version {highest} was seen before this was invoked: {what}"),
            )),
            Moment::NoLower { version, what } if version < highest => faults.push(Fault::new(
                Law::VersionsFollowTime,
                format!("version {highest} was seen before this was invoked: {what}"),
            )),
            Moment::Higher { .. } | Moment::NoLower { .. } => {}
        }
    }
    faults
}

fn moments(history: &History, log: &ChangeLog<'_>) -> Vec<(Time, Moment)> {
    let mut moments = Vec::new();
    for call in &history.calls {
        let shown = call.shown_version();
        let written = call.written().filter(|_| call.outcome == Outcome::Unknown);
        let found = written.and_then(|value| log.version_of(value));
        let reads = call.action == crate::history::Action::Get;
        if let Some(version) = shown.or(found).filter(|_| !reads) {
            let what = call.to_string();
            moments.push((call.invoked, Moment::Higher { version, what }));
        }
        moments.extend(shown.map(|version| (call.returned, Moment::Seen(version))));
    }
    for list in &history.lists {
        let version = list.version();
        let what = format!("a list of client {} at version {version}", list.client);
        moments.push((list.invoked, Moment::NoLower { version, what }));
        moments.push((list.returned, Moment::Seen(version)));
    }
    for delivery in history.watches.iter().flat_map(|watch| &watch.deliveries) {
        moments.extend(match delivery {
            Delivery::Event { at, state, .. } => Some((*at, Moment::Seen(state.version))),
            Delivery::Bookmark { at, version } => Some((*at, Moment::Seen(*version))),
            Delivery::Cut => None,
        });
    }
    moments
}
