//! Integration tests of the storage crate, one binary.

mod backends;
mod crash;
mod etcd;
mod model;
mod umask;
