//! Tests of the running program, in one binary, which is linked once.

// `cfg(test)` has no effect here, but shows lints that check functions are tests too.
#[cfg(test)]
mod aggregated;
#[cfg(test)]
mod authentication_config;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod chart;
#[cfg(test)]
mod check;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod containment;
#[cfg(test)]
mod crate_order;
#[cfg(test)]
mod downloads;
#[cfg(test)]
mod downstream;
#[cfg(test)]
mod durability;
#[cfg(test)]
mod emergency;
#[cfg(test)]
mod evil;
#[cfg(test)]
mod fairness;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod histories;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod krew;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod listener;
#[cfg(test)]
mod login_replay;
#[cfg(test)]
mod merge;
#[cfg(test)]
mod oidc;
#[cfg(test)]
mod permissions;
#[cfg(test)]
mod quota;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod real_clusters;
#[cfg(test)]
mod record;
#[cfg(test)]
mod redirects;
#[cfg(test)]
mod references;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod server;
#[cfg(test)]
mod tour;
#[cfg(test)]
mod transcripts;
#[cfg(test)]
mod users;
