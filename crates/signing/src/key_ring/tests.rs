use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{KeyRing, KeyRingChange, KeyState, RotationPolicy};
use crate::{
    leeway::LEEWAY_SECS,
    signing_key::{KeySchedule, SigningKeyRecord},
};

const DAY: u64 = 86_400;
const START: Timestamp = Timestamp::constant(1_800_000_000, 0);

const POLICY: RotationPolicy = RotationPolicy {
    period_secs: 10 * DAY,
    overlap_secs: 2 * DAY,
    max_token_ttl_secs: 5 * DAY,
};

/// Returns the time this many days after the start.
fn day(day: i64) -> Timestamp {
    START + SignedDuration::from_hours(24 * day)
}

/// Returns a schedule of these days. The leeway is added to the last one.
fn schedule(created: i64, activates: i64, retires: i64, expires: i64) -> KeySchedule {
    KeySchedule {
        created: day(created),
        activates: day(activates),
        retires: day(retires),
        expires: day(expires) + SignedDuration::from_secs(LEEWAY_SECS),
    }
}

/// A store of keys that applies plans. Keys are numbered in the order of creation.
#[derive(Default)]
struct Keys {
    records: Vec<SigningKeyRecord>,
    numbers: BTreeMap<String, usize>,
}

impl Keys {
    fn with(schedules: &[KeySchedule]) -> Self {
        let mut keys = Self::default();
        for schedule in schedules {
            keys.create(*schedule);
        }
        keys
    }

    fn ring(&self) -> KeyRing {
        KeyRing::load(self.records.clone()).unwrap()
    }

    fn create(&mut self, schedule: KeySchedule) {
        let record = SigningKeyRecord::generate(schedule).unwrap();
        self.numbers.insert(record.kid.clone(), self.numbers.len());
        self.records.push(record);
    }

    fn apply(&mut self, changes: &[KeyRingChange]) {
        for change in changes {
            match change {
                KeyRingChange::Create { schedule } => self.create(*schedule),
                KeyRingChange::Extend { kid, schedule } => {
                    let mut records = self.records.iter_mut();
                    records.find(|record| record.kid == *kid).unwrap().schedule = *schedule;
                }
                KeyRingChange::Drop { kid } => self.records.retain(|record| record.kid != *kid),
            }
        }
    }

    /// Applies plans and checks that nothing is left to do.
    fn follow_plan(&mut self, now: Timestamp, policy: &RotationPolicy) {
        self.apply(&self.ring().plan(now, policy));
        assert_eq!(self.ring().plan(now, policy), [], "a second plan at {now}");
    }

    /// Describes the changes, with each key by its number.
    fn describe(&self, changes: &[KeyRingChange]) -> Vec<String> {
        let in_days = |schedule: &KeySchedule| {
            let times = [
                schedule.created,
                schedule.activates,
                schedule.retires,
                schedule.expires,
            ];
            times.map(|time| time.duration_since(START).as_hours() / 24)
        };
        let describe = |change: &KeyRingChange| match change {
            KeyRingChange::Create { schedule } => format!("create {:?}", in_days(schedule)),
            KeyRingChange::Extend { kid, schedule } => {
                format!("extend {} {:?}", self.numbers[kid], in_days(schedule))
            }
            KeyRingChange::Drop { kid } => format!("drop {}", self.numbers[kid]),
        };
        changes.iter().map(describe).collect()
    }

    fn signer(&self, now: Timestamp) -> Option<usize> {
        let ring = self.ring();
        ring.signer(now).map(|key| self.numbers[&**key.kid()])
    }

    fn published(&self, now: Timestamp) -> Vec<usize> {
        let ring = self.ring();
        ring.published(now)
            .map(|key| self.numbers[&**key.kid()])
            .collect()
    }
}

#[track_caller]
fn check_plan(schedules: &[KeySchedule], now: i64, expected: &[&str]) {
    let keys = Keys::with(schedules);
    let changes = keys.ring().plan(day(now), &POLICY);
    assert_eq!(keys.describe(&changes), expected);
}

#[test]
fn without_keys_the_first_signs_at_once() {
    check_plan(&[], 0, &["create [0, 0, 10, 15]"]);
    check_plan(&[], 7, &["create [7, 7, 17, 22]"]);
}

#[test]
fn a_successor_is_made_one_overlap_before_its_first_use() {
    let first = schedule(0, 0, 10, 15);
    check_plan(&[first], 0, &[]);
    check_plan(&[first], 7, &[]);
    check_plan(&[first], 8, &["create [8, 10, 20, 25]"]);
    let second = schedule(8, 10, 20, 25);
    check_plan(&[first, second], 8, &[]);
    check_plan(&[first, second], 10, &[]);
}

#[test]
fn a_late_successor_is_published_as_long_and_the_old_key_waits_for_it() {
    let first = schedule(0, 0, 10, 15);
    let late = ["extend 0 [0, 0, 11, 16]", "create [9, 11, 21, 26]"];
    check_plan(&[first], 9, &late);
    let too_late = ["extend 0 [0, 0, 14, 19]", "create [12, 14, 24, 29]"];
    check_plan(&[first], 12, &too_late);
}

#[test]
fn a_key_is_dropped_when_its_last_token_is_expired() {
    let (first, second) = (schedule(0, 0, 10, 15), schedule(8, 10, 20, 25));
    // In the first second of day 15 the leeway is not yet over.
    check_plan(&[first, second], 15, &[]);
    check_plan(&[first, second], 16, &["drop 0"]);
    check_plan(&[first], 16, &["drop 0", "create [16, 16, 26, 31]"]);
}

#[test]
fn longer_tokens_extend_the_key_that_signs_them() {
    let keys = Keys::with(&[schedule(0, 0, 10, 15)]);
    let policy = RotationPolicy {
        max_token_ttl_secs: 30 * DAY,
        ..POLICY
    };
    let changes = keys.ring().plan(day(1), &policy);
    assert_eq!(keys.describe(&changes), ["extend 0 [0, 0, 10, 40]"]);
    let shorter = RotationPolicy {
        max_token_ttl_secs: DAY,
        ..POLICY
    };
    assert_eq!(keys.ring().plan(day(1), &shorter), []);
}

#[test]
fn a_shorter_period_rotates_sooner() {
    let keys = Keys::with(&[schedule(0, 0, 10, 15)]);
    let policy = RotationPolicy {
        period_secs: 4 * DAY,
        ..POLICY
    };
    assert_eq!(keys.ring().plan(day(1), &policy), []);
    let changes = keys.ring().plan(day(2), &policy);
    assert_eq!(keys.describe(&changes), ["create [2, 4, 8, 13]"]);
}

#[test]
fn the_key_that_activated_last_signs() {
    let keys = Keys::with(&[schedule(8, 10, 20, 25), schedule(0, 0, 12, 17)]);
    assert_eq!(keys.signer(day(0)), Some(1));
    assert_eq!(keys.signer(day(9)), Some(1));
    assert_eq!(keys.signer(day(10)), Some(0));
    assert_eq!(keys.signer(day(19)), Some(0));
    assert_eq!(keys.signer(day(20)), None);
    assert_eq!(keys.published(day(0)), [1, 0]);
    assert_eq!(keys.published(day(17)), [1, 0]);
    assert_eq!(keys.published(day(18)), [0]);
    assert!(keys.published(day(26)).is_empty());
}

#[test]
fn where_none_has_activated_a_waiting_key_signs() {
    let keys = Keys::with(&[schedule(0, 2, 12, 17), schedule(0, 3, 13, 18)]);
    assert_eq!(keys.signer(day(0)), Some(0));
    assert_eq!(keys.ring().plan(day(0), &POLICY), []);
}

#[test]
fn two_keys_of_the_same_time_are_ordered_by_name() {
    let keys = Keys::with(&[schedule(0, 0, 10, 15), schedule(0, 0, 10, 15)]);
    let mut names: Vec<_> = keys.records.iter().map(|record| &record.kid).collect();
    names.sort();
    let ring = keys.ring();
    assert_eq!(**ring.signer(day(0)).unwrap().kid(), **names[1]);
    let reversed = KeyRing::load(keys.records.iter().rev().cloned().collect()).unwrap();
    assert_eq!(**reversed.signer(day(0)).unwrap().kid(), **names[1]);
}

#[test]
fn a_key_is_found_by_its_exact_name() {
    let keys = Keys::with(&[schedule(0, 0, 10, 15)]);
    let ring = keys.ring();
    let kid = &keys.records[0].kid;
    assert!(ring.verifying_key(kid).is_some());
    for other in ["", &kid[1..], &format!("{kid} "), &kid.to_uppercase()] {
        assert!(ring.verifying_key(other).is_none(), "{other}");
    }
}

#[test]
fn rotating_early_breaks_nothing() {
    let mut keys = Keys::with(&[schedule(0, 0, 10, 15)]);
    let changes = keys.ring().rotate(day(3), &POLICY);
    assert_eq!(keys.describe(&changes), ["create [3, 5, 15, 20]"]);
    keys.apply(&changes);
    assert_eq!(keys.ring().rotate(day(3), &POLICY), [], "one is waiting");
    assert_eq!(
        (keys.signer(day(4)), keys.signer(day(5))),
        (Some(0), Some(1))
    );
    assert_eq!(keys.published(day(6)), [0, 1]);
    let near_its_end = Keys::with(&[schedule(0, 0, 10, 15)]).ring();
    assert_eq!(near_its_end.rotate(day(9), &POLICY).len(), 2);
    assert_eq!(KeyRing::default().rotate(day(0), &POLICY).len(), 1);
}

#[test]
fn a_key_goes_through_four_states() {
    let ring = Keys::with(&[
        schedule(0, 0, 10, 15),
        schedule(8, 10, 20, 25),
        schedule(18, 20, 30, 35),
    ])
    .ring();
    let states =
        |on: i64| -> Vec<KeyState> { ring.keys().map(|key| ring.state(key, day(on))).collect() };
    use KeyState::{Expired, Pending, Signing, Verifying};
    assert_eq!(states(9), [Signing, Pending, Pending]);
    assert_eq!(states(12), [Verifying, Signing, Pending]);
    assert_eq!(states(16), [Expired, Signing, Pending]);
}

#[test]
fn times_beyond_the_calendar_end_with_it() {
    let policy = RotationPolicy {
        period_secs: u64::MAX,
        overlap_secs: u64::MAX,
        max_token_ttl_secs: u64::MAX,
    };
    let schedule = policy.schedule(START, START);
    assert_eq!(
        (schedule.retires, schedule.expires),
        (Timestamp::MAX, Timestamp::MAX)
    );
    let mut keys = Keys::with(&[schedule]);
    keys.apply(&keys.ring().plan(START, &policy));
    assert_eq!(keys.signer(START), Some(0));
}

/// Checks a server that plans every `step` hours for 200 days, except in the days `asleep`.
#[track_caller]
fn check_timeline(step: usize, asleep: std::ops::Range<i64>) {
    let mut keys = Keys::default();
    let mut first_use: BTreeMap<usize, Timestamp> = BTreeMap::new();
    for hour in (0..200 * 24).step_by(step) {
        let now = START + SignedDuration::from_hours(hour);
        if asleep.contains(&(hour / 24)) {
            continue;
        }
        keys.follow_plan(now, &POLICY);
        let signer = keys.signer(now).unwrap();
        first_use.entry(signer).or_insert(now);
        let schedule = keys
            .records
            .iter()
            .find(|record| keys.numbers[&record.kid] == signer);
        let schedule = schedule.unwrap().schedule;
        let published = now.duration_since(schedule.created).as_secs();
        assert!(
            signer == 0 || published >= (2 * DAY).cast_signed(),
            "hour {hour}"
        );
        let last_use = now.as_second() + (5 * DAY).cast_signed() + LEEWAY_SECS;
        assert!(last_use <= schedule.expires.as_second(), "hour {hour}");
        assert!(keys.records.len() <= 3, "hour {hour}");
    }
    assert!(first_use.len() > 5, "{first_use:?}");
}

#[test]
fn at_any_hour_one_well_known_key_signs() {
    check_timeline(1, 0..0);
    check_timeline(7, 0..0);
    check_timeline(36, 0..0);
    check_timeline(5, 19..22);
    check_timeline(5, 9..14);
}
