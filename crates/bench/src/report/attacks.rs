//! The table of attacks: the effect on honest users of the server, next to that on users of a
//! kube-apiserver.

use std::fmt;
use std::time::Duration;

use super::layout::{number, write_columns};
use super::millis;
use crate::honest::{Observed, Step};
use crate::targets::{ATTACKED_MEMORY, ATTACKED_RATIO};

const COLUMNS: usize = 17;

const TITLES: [&str; COLUMNS] = [
    "attack",
    "quiet p99",
    "reads",
    "p99",
    "reads",
    "ratio",
    "refused",
    "RSS",
    "",
    "kube: quiet p99",
    "reads",
    "p99",
    "reads",
    "ratio",
    "refused",
    "RSS",
    "",
];

const NOTES: [&str; 10] = [
    "32 honest clients of 8 users connect, create, get, list and delete, some 30 steps a second each, alone (quiet) and during",
    "each attack, for the same time. p99 in ms, of all steps, of which ratio is the quotient, and of reads alone; RSS",
    "is the maximum of the server in the attack, in MiB. The attacker is a process of nice 19 on the same processors: it takes what",
    "the server and the honest clients leave, so that the times are those of the server and not of starved clients.",
    "refused    requests of honest users without a 2xx response, by status; broken: the connection ended; no answer: within 20 s.",
    "MISS       a ratio above 3, a refusal, 512 MiB or more, or worse than kube-apiserver: longer p99, more refusals, more RSS.",
    "kube       the same on a real kube-apiserver with ConfigMaps, after ours has ended; started again before each attack.",
    "Attacks by a user are those of one user with a client certificate; the quota of each user is in force, and refusals of",
    "the attacker by it are not counted.",
    "",
];

/// An attack.
#[derive(Clone, Debug)]
pub(crate) struct AttackRow {
    /// The name of the attack.
    pub(crate) attack: &'static str,
    /// The server under the attack, or the reason why it was not measured.
    pub(crate) ours: Result<Endured, String>,
    /// A kube-apiserver under the attack, or the reason why it was not measured.
    pub(crate) theirs: Result<Endured, String>,
}

/// The 99th percentiles of the steps of honest users.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tails {
    /// The 99th percentile of connections, creates, reads and deletes together.
    all: Duration,
    reads: Duration,
}

/// The measurements of a server under an attack.
#[derive(Clone, Debug)]
pub(crate) struct Endured {
    /// Requests of honest users before the attack.
    pub(crate) quiet: Tails,
    /// Requests of honest users during the attack.
    pub(crate) attacked: Tails,
    /// Number of failed requests of honest users.
    pub(crate) refused: usize,
    /// The failures by kind.
    pub(crate) failures: String,
    /// Peak memory, in bytes.
    pub(crate) memory: u64,
}

impl AttackRow {
    /// Returns whether the server is within its targets.
    pub(super) fn is_kept(&self) -> bool {
        let Ok(ours) = &self.ours else {
            return false;
        };
        let is_within = ours.ratio() <= ATTACKED_RATIO
            && ours.refused == 0
            && ours.mebibytes() < ATTACKED_MEMORY;
        is_within
            && self
                .theirs
                .as_ref()
                .map_or(true, |theirs| !ours.is_worse(theirs))
    }

    fn cells(&self) -> [String; COLUMNS] {
        let verdict = if self.is_kept() { "ok" } else { "MISS" };
        let reason = self.theirs.as_ref().err().cloned().unwrap_or_default();
        let mut cells = vec![self.attack.to_owned()];
        cells.extend(figures(&self.ours));
        cells.push(verdict.to_owned());
        cells.extend(figures(&self.theirs));
        cells.push(reason);
        std::array::from_fn(|column| cells.get(column).cloned().unwrap_or_default())
    }
}

impl Tails {
    /// Returns the percentiles of observations.
    pub(crate) fn of(observed: &Observed) -> Self {
        Self {
            all: observed.all().summary().p99,
            reads: observed.of(Step::Read).summary().p99,
        }
    }
}

impl Endured {
    /// Returns the attacked time of all steps divided by the quiet one.
    fn ratio(&self) -> f64 {
        let quiet = self.quiet.all.as_secs_f64().max(f64::MIN_POSITIVE);
        self.attacked.all.as_secs_f64() / quiet
    }

    fn mebibytes(&self) -> f64 {
        self.memory as f64 / f64::from(1 << 20)
    }

    fn is_worse(&self, other: &Self) -> bool {
        self.attacked.all > other.attacked.all
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
        time(endured.quiet.all),
        time(endured.quiet.reads),
        time(endured.attacked.all),
        time(endured.attacked.reads),
        format!("{:.2}", endured.ratio()),
        refused,
        number(endured.mebibytes()),
    ]
}

/// Writes the table and its notes, or nothing if there are no attacks.
pub(super) fn write(rows: &[AttackRow], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    let mut lines = vec![TITLES.map(str::to_owned)];
    lines.extend(rows.iter().map(AttackRow::cells));
    write_columns(&lines, &[0, 8, 16], formatter)?;
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

    fn tails(millis: u64) -> Tails {
        Tails {
            all: Duration::from_millis(millis),
            reads: Duration::from_millis(1),
        }
    }

    fn endured(millis: u64) -> Endured {
        Endured {
            quiet: tails(10),
            attacked: tails(millis),
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
        check(
            Endured {
                refused: 1,
                ..endured(30)
            },
            none(),
            false,
        );
        check(
            Endured {
                memory: 512 * MIB,
                ..endured(30)
            },
            none(),
            false,
        );
        check(endured(30), Ok(endured(30)), true);
        check(endured(30), Ok(endured(29)), false);
        check(
            endured(30),
            Ok(Endured {
                memory: 99 * MIB,
                ..endured(30)
            }),
            false,
        );
        let refusing = Endured {
            refused: 1,
            memory: 512 * MIB,
            ..endured(90)
        };
        check(endured(30), Ok(refusing), true);
    }
}
