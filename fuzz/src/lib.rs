//! Fuzzing of parsers without instrumentation: on the stable toolchain, in `cargo test`, with the same inputs each time.
//!
//! ```text
//! seeds ──▶ corpus ──▶ mutate ──▶ target ──▶ outcome ─── seen before: forget it
//!              ▲                                 └────── new: keep the input ──┐
//!              └───────────────────────────────────────────────────────────────┘
//! ```
//!
//! A target is a function of bytes. It panics where a property does not hold, and returns its outcome: a short text that tells kinds of
//! answers apart, e.g. the error without the input. Inputs with a new outcome join the corpus, which leads into a parser as coverage does
//! elsewhere.
//!
//! `FUZZ_SECONDS` runs each target for so long, with other inputs each time (`hack/fuzz.sh`). An input that fails is written to
//! `target/fuzz/`, and belongs into the seeds once it is fixed.

mod corpus;
mod mutation;

use std::env;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use corpus::Corpus;

/// Inputs of a run without `FUZZ_SECONDS`.
const INPUTS: usize = 4000;

/// The longest input, in bytes.
const MAX_LEN: usize = 32 * 1024;

/// The longest that one input may take in a long run. Far beyond what any input of [`MAX_LEN`] needs.
const MAX_TIME: Duration = Duration::from_secs(5);

/// The number of times that an input must take that long again.
const SLOW: usize = 3;

/// A parser under test.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Its name, for files.
    pub name: &'a str,
    /// Inputs to begin with.
    pub seeds: &'a [&'a [u8]],
    /// Pieces of the language that it reads.
    pub dictionary: &'a [&'a str],
}

impl Target<'_> {
    /// Runs the target on its seeds, and on inputs made from them.
    ///
    /// # Panics
    /// The target panics, or an input of a long run takes too long. The input is written to a file.
    pub fn run(&self, target: impl FnMut(&[u8]) -> String) {
        self.run_inputs(INPUTS, target);
    }

    /// As [`Target::run`], with this number of inputs, for a target that is slow.
    ///
    /// # Panics
    /// As [`Target::run`].
    pub fn run_inputs(&self, inputs: usize, mut target: impl FnMut(&[u8]) -> String) {
        let limit = seconds();
        let mut random = match limit {
            Some(_) => StdRng::from_rng(&mut rand::rng()),
            None => StdRng::seed_from_u64(0),
        };
        let mut corpus = Corpus::default();
        for seed in self.seeds {
            corpus.offer(seed.to_vec(), self.outcome(seed, &mut target));
        }
        let start = Instant::now();
        let mut count = 0;
        while limit.map_or(count < inputs, |limit| start.elapsed() < limit) {
            let input = mutation::mutate(&corpus, self.dictionary, &mut random);
            let outcome = self.outcome(&input, &mut target);
            corpus.offer(input, outcome);
            count += 1;
        }
        if limit.is_some() {
            self.say(&format!("{count} inputs, {} kept", corpus.len()));
        }
    }

    #[expect(
        clippy::print_stderr,
        reason = "hack/fuzz.sh shows what a long run came to"
    )]
    fn say(&self, text: &str) {
        eprintln!("fuzz: {}: {text}", self.name);
    }

    #[expect(
        clippy::panic,
        reason = "it runs in tests, and this is how a test fails"
    )]
    fn outcome(&self, input: &[u8], target: &mut impl FnMut(&[u8]) -> String) -> String {
        for _ in 0..=SLOW {
            let start = Instant::now();
            match catch_unwind(AssertUnwindSafe(|| target(input))) {
                Ok(outcome) if seconds().is_none() || start.elapsed() < MAX_TIME => return outcome,
                // A busy machine is slow now and then, with another input each time.
                Ok(_) => {}
                Err(panic) => {
                    self.keep(input);
                    resume_unwind(panic)
                }
            }
        }
        let file = self.keep(input);
        panic!("{}: an input takes too long: {file}", self.name)
    }

    /// Writes an input that failed to a file, and returns where.
    #[expect(
        clippy::print_stderr,
        reason = "the test runner shows it for a failed test"
    )]
    fn keep(&self, input: &[u8]) -> String {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/fuzz");
        let file = folder.join(format!("{}-{:016x}", self.name, corpus::hash(input)));
        let kept = fs::create_dir_all(&folder).and_then(|()| fs::write(&file, input));
        let shown = String::from_utf8_lossy(&input[..input.len().min(2000)]);
        eprintln!("--- {} ({kept:?})\n{shown:?}\n---", file.display());
        file.display().to_string()
    }
}

/// The time for which each target runs; `None` for a fixed number of inputs.
fn seconds() -> Option<Duration> {
    let seconds = env::var_os("FUZZ_SECONDS")?;
    let seconds = seconds.to_str()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
