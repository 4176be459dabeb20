//! The serving certificate, with a real host, several replicas and a clock that tests move.

mod faults;
mod replicas;
mod rotation;
mod world;
