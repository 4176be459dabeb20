//! Tokens: minted, recorded, checked and revoked.
//!
//! A token is a JWT signed by this server, together with a record of `tokens.ext.cattle.io`. Every
//! check requires both ([`validity`]). So deleting the record, or the kubeconfig that owns it, ends
//! the token at once, and a token whose record was never written was never valid.
//!
//! ```text
//! Order → Minter → record in the store + signed Bearer      Bearer → Validity → ValidToken
//! ```
//!
//! No token and no private key is stored in plain text or printed: records hold neither, and the
//! types that do have no `Display`.

pub mod authenticator;
pub mod ceilings;
pub mod cluster_access;
pub mod cluster_credential;
pub mod cluster_groups;
pub mod cluster_scope;
pub mod exchange;
pub mod key_operation;
pub mod leases;
pub mod logins;
pub mod minter;
pub mod openid;
pub mod origin;
pub mod quota;
pub mod service_accounts;
pub mod suspension;
pub mod sweeper;
#[cfg(feature = "testing")]
pub mod testing;
pub mod token_record;
pub mod token_resource;
pub mod token_review;
pub mod user_directory;
pub mod validity;
