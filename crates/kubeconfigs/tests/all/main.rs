//! The policy of kubeconfigs, through the handler chain, with real tokens.

#[cfg(test)]
mod access;
#[cfg(test)]
mod create;
#[cfg(test)]
mod delete;
#[cfg(test)]
mod download;
#[cfg(test)]
mod grants;
#[cfg(test)]
mod select;
#[cfg(test)]
mod star;
mod token;
#[cfg(test)]
mod update;
#[cfg(test)]
mod world;
