//! Generated names of objects.

use machinery::name_generator;
use rand::RngExt;

/// Returns a random name that starts with `base`.
pub fn random_name(base: &str) -> String {
    let mut random = rand::rng();
    name_generator::generate(base, &mut |bound| random.random_range(0..bound))
}
