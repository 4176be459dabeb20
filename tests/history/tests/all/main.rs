//! Tests of the checker.

// `cfg(test)` says nothing new here, but lints then know that check functions are tests too.
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
