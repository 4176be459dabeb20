//! The table of attacks: what honest users of the server noticed, beside those of a kube-apiserver.

use std::fmt;
use std::time::Duration;

use super::layout::{number, write_columns};
use super::millis;
use crate::sample::Summary;
use crate::targets::{ATTACKED_MEMORY, ATTACKED_RATIO};

const COLUMNS: usize = 15;

const TITLES: [&str; COLUMNS] = [
    "attack", "quiet p50", "p99", "p50", "p99", "ratio", "refused", "RSS", "", "kube: quiet p99", "p99",
    "ratio", "refused", "RSS", "",
];

const NOTES: [&str; 10] = [
    "32 honest clients of 8 users create, get, list and delete over new connections at some 30 requests a second each, alone",
    "(quiet) and beside each attack, for the same time. Times are in ms, of connection, handshake and answer; RSS is the",
    "greatest of the server in the attack, in MiB. The attacker is a process of nice 19 on the same processors: it takes what",
    "the server and the honest clients leave, so that the times are those of the server and not of starved clients.",
    "refused    requests of honest users that were not answered 2xx, by status; broken: the connection ended; no answer: in 20 s.",
    "MISS       a ratio above 3, a refusal, 512 MiB or more, or worse than kube-apiserver: longer p99, more refusals, more RSS.",
    "kube       the same on a real kube-apiserver with ConfigMaps, alone on the machine, after ours has ended.",
    "Attacks by a user are those of one user with a client certificate; the quota of each user is in force, and refusals of",
    "the attacker by it are not counted.",
    "",
];

/// An attack.
#[derive(Clone, Debug)]
pub(crate) struct AttackRow {
    /// Its name.
    pub(crate) attack: &'static str,
    /// The server under it, or the reason why it was not measured.
    pub(crate) ours: Result<Endured, String>,
    /// A kube-apiserver under it, or the reason why it was not measured.
    pub(crate) theirs: Result<Endured, String>,
}

/// A server under an attack.
#[derive(Clone, Debug)]
pub(crate) struct Endured {
    /// Requests of honest users before it.
    pub(crate) quiet: Summary,
    /// Requests of honest users in it.
    pub(crate) attacked: Summary,
    /// Requests of honest users that failed.
    pub(crate) refused: usize,
    /// How they failed.
    pub(crate) failures: String,
    /// The greatest memory, in bytes.
    pub(crate) memory: u64,
}

impl AttackRow {
    /// Whether the server keeps what it promises.
    pub(super) fn is_kept(&self) -> bool {
        let Ok(ours) = &self.ours else {
            return false;
        };
        let is_within = ours.ratio() <= ATTACKED_RATIO
            && ours.refused == 0
            && ours.mebibytes() < ATTACKED_MEMORY;
        is_within && self.theirs.as_ref().map_or(true, |theirs| !ours.is_worse(theirs))
    }

    fn cells(&self) -> [String; COLUMNS] {
        let [quiet_p50, quiet_p99, p50, p99, ratio, refused, memory] = figures(&self.ours);
        let verdict = if self.is_kept() { "ok" } else { "MISS" };
        let [_, their_quiet, _, their_p99, their_ratio, their_refused, their_memory] =
            figures(&self.theirs);
        [
            self.attack.to_owned(),
            quiet_p50,
            quiet_p99,
            p50,
            p99,
            ratio,
            refused,
            memory,
            verdict.to_owned(),
            their_quiet,
            their_p99,
            their_ratio,
            their_refused,
            their_memory,
            self.theirs.as_ref().err().cloned().unwrap_or_default(),
        ]
    }
}

impl Endured {
    fn ratio(&self) -> f64 {
        let quiet = self.quiet.p99.max(Duration::from_nanos(1));
        self.attacked.p99.as_secs_f64() / quiet.as_secs_f64()
    }

    fn mebibytes(&self) -> f64 {
        self.memory as f64 / f64::from(1 << 20)
    }

    fn is_worse(&self, other: &Self) -> bool {
        self.attacked.p99 > other.attacked.p99
            || self.refused > other.refused
            || self.memory > other.memory
    }
}

fn figures(measured: &Result<Endured, String>) -> [String; 7] {
    let Ok(endured) = measured else {
        return Default::default();
    };
    let time = |time| number(millis(time));
    let refused = match endured.refused {
        0 => "0".to_owned(),
        _ => endured.failures.clone(),
    };
    [
        time(endured.quiet.p50),
        time(endured.quiet.p99),
        time(endured.attacked.p50),
        time(endured.attacked.p99),
        format!("{:.2}", endured.ratio()),
        refused,
        number(endured.mebibytes()),
    ]
}

/// Writes the table and what is to be known about it; nothing without attacks.
pub(super) fn write(rows: &[AttackRow], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    let mut lines = vec![TITLES.map(str::to_owned)];
    lines.extend(rows.iter().map(AttackRow::cells));
    write_columns(&lines, &[0, 8, 14], formatter)?;
    writeln!(formatter)?;
    for line in NOTES {
        writeln!(formatter, "{line}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn summary(p99: u64) -> Summary {
        Summary {
            rate: 900.0,
            p50: Duration::from_millis(1),
            p99: Duration::from_millis(p99),
            cpu: Duration::ZERO,
            bytes: 0.0,
        }
    }

    fn endured(p99: u64) -> Endured {
        Endured {
            quiet: summary(10),
            attacked: summary(p99),
            refused: 0,
            failures: String::new(),
            memory: 100 * MIB,
        }
    }

    #[track_caller]
    fn check(ours: Endured, theirs: Result<Endured, String>, expected: bool) {
        let row = AttackRow {
            attack: "an attack",
            ours: Ok(ours),
            theirs,
        };
        assert_eq!(row.is_kept(), expected, "{row:?}");
    }

    #[test]
    fn each_limit_alone_is_a_miss() {
        let none = || Err("is not here".to_owned());
        check(endured(30), none(), true);
        check(endured(31), none(), false);
        check(Endured { refused: 1, ..endured(30) }, none(), false);
        check(Endured { memory: 512 * MIB, ..endured(30) }, none(), false);
        check(endured(30), Ok(endured(30)), true);
        check(endured(30), Ok(endured(29)), false);
        check(endured(30), Ok(Endured { memory: 99 * MIB, ..endured(30) }), false);
        let refusing = Endured { refused: 1, memory: 512 * MIB, ..endured(90) };
        check(endured(30), Ok(refusing), true);
    }
}
