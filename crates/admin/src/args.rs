//! The flags of the commands.

mod check;
mod cluster;
mod keys;
mod user;

pub use check::CheckArgs;
pub use cluster::ClusterArgs;
pub use keys::KeysArgs;
pub use user::UserArgs;

pub(crate) use check::CheckOutput;
pub(crate) use cluster::{
    AddArgs, BindArgs, ClusterCommand, EndpointArgs, OidcArgs, RemoveArgs, WebhookArgs,
};
pub(crate) use keys::KeysCommand;
pub(crate) use user::{AddUserArgs, UserCommand};
