//! Tests of the checker.

// `cfg(test)` has no effect here, but shows lints that check functions are tests too.
#[cfg(test)]
mod build;
#[cfg(test)]
mod legal;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod objects;
#[cfg(test)]
mod simulated;
#[cfg(test)]
mod watches;
