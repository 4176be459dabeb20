//! Demo data: two users. An administrator registers the clusters for them.

use api::management::User;
use apiserver::registry::Registry;
use machinery::meta::ObjectMeta;
use machinery::status::Status;

use crate::user_file::UserFile;

/// The kubeconfig files of the users.
pub(crate) const FILES: [UserFile<'static>; 2] = [
    UserFile {
        file: "alice.kubeconfig",
        user: "alice",
        groups: &[],
    },
    UserFile {
        file: "bob.kubeconfig",
        user: "bob",
        groups: &[],
    },
];

/// Creates the users that are missing.
///
/// # Errors
/// Fails if the store does not answer.
pub(crate) async fn make(users: &Registry<User>) -> Result<(), Status> {
    for (name, display_name) in [("alice", "Alice"), ("bob", "Bob")] {
        users.store().ensure(user(name, display_name)).await?;
    }
    Ok(())
}

fn user(name: &str, display_name: &str) -> User {
    User {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        display_name: display_name.to_owned(),
        username: name.to_owned(),
        principal_ids: vec![format!("local://{name}")],
        enabled: Some(true),
        ..User::default()
    }
}
