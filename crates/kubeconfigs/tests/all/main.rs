//! The policy of kubeconfigs, through the handler chain, with real tokens.

mod create;
mod delete;
mod download;
mod star;
mod update;
mod world;
