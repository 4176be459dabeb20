//! Inputs worth changing further: one for each outcome, the shortest.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use rand::RngExt;
use rand::rngs::StdRng;

/// The most inputs that are kept.
const CAPACITY: usize = 4096;

/// Inputs by their outcome.
#[derive(Debug, Default)]
pub(crate) struct Corpus {
    inputs: Vec<Vec<u8>>,
    by_outcome: BTreeMap<u64, usize>,
}

impl Corpus {
    /// Keeps an input whose outcome is new, or that is shorter than the one before.
    pub(crate) fn offer(&mut self, input: Vec<u8>, outcome: String) {
        match self.by_outcome.get(&hash(&outcome)) {
            Some(&known) if input.len() < self.inputs[known].len() => self.inputs[known] = input,
            Some(_) => {}
            None if self.inputs.len() < CAPACITY => {
                self.by_outcome.insert(hash(&outcome), self.inputs.len());
                self.inputs.push(input);
            }
            None => {}
        }
    }

    /// The number of inputs that are kept.
    pub(crate) fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Any input.
    pub(crate) fn pick(&self, random: &mut StdRng) -> &[u8] {
        match self.inputs.len() {
            0 => &[],
            len => &self.inputs[random.random_range(0..len)],
        }
    }
}

pub(crate) fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
