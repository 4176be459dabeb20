//! `kubeconfig-apiserver keys …`: operations on the keys of a running server, through its API.
//!
//! Tables go to stdout. Explanations and the next steps go to stderr. Keys are never printed.

use anyhow::{Context, Result, bail};
use api::ext::key_operation::{EncryptionKeyInfo, SigningKeyInfo};
use api::ext::{self, KeyAction, KeyOperation, KeyOperationSpec, KeyOperationStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::{ApiResource, GroupVersionKind, Object};
use kube::{Api, Client};
use machinery::time::rfc3339;

use crate::args::{KeysArgs, KeysCommand};
use crate::client::{client, told};
use crate::console::Console;
use crate::table::table;

/// A KeyOperation in requests and responses.
type Operation = Object<KeyOperationSpec, KeyOperationStatus>;

const SIGNING_HEAD: [&str; 6] = [
    "KID",
    "STATE",
    "CREATED",
    "SIGNS FROM",
    "SIGNS UNTIL",
    "VALID UNTIL",
];

const ENCRYPTION_HEAD: [&str; 3] = ["ID", "VALUES", "NEWEST"];

/// The text for an absent value.
const NONE: &str = "<none>";

/// Runs a command.
///
/// # Errors
/// Returns one line that describes the fault and its remedy.
pub async fn run(args: &KeysArgs, console: &Console) -> Result<()> {
    let action = match &args.command {
        KeysCommand::List => KeyAction::List,
        KeysCommand::Rotate => KeyAction::Rotate,
        KeysCommand::RevokeAll(_) => KeyAction::RevokeAll,
        KeysCommand::Reseal => KeyAction::Reseal,
    };
    if let KeysCommand::RevokeAll(args) = &args.command {
        confirm(console, args.yes)?;
    }
    let client = client(args.kubeconfig.as_deref(), args.context.as_deref()).await?;
    let status = perform(client, action).await?;
    let text = match action {
        KeyAction::Reseal => table(&ENCRYPTION_HEAD, &encryption_rows(&status.encryption_keys)),
        _ => table(&SIGNING_HEAD, &signing_rows(&status.signing_keys)),
    };
    console.print(&text)?;
    explain(console, action, &status);
    Ok(())
}

/// Asks on the terminal for confirmation that all tokens are to be revoked.
fn confirm(console: &Console, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !console.has_user() {
        bail!(
            "revoke-all invalidates every token of every user; add --yes to confirm it without a terminal"
        );
    }
    console.say(
        "Every kubeconfig file with tokens stops working, and its user must create a new one.",
    );
    match console.ask("Type yes to revoke all tokens: ")?.as_str() {
        "yes" => Ok(()),
        _ => bail!("nothing was changed"),
    }
}

async fn perform(client: Client, action: KeyAction) -> Result<KeyOperationStatus> {
    let kind = GroupVersionKind::gvk(ext::GROUP, ext::VERSION, KeyOperation::KIND);
    let resource = ApiResource::from_gvk_with_plural(&kind, KeyOperation::PLURAL);
    let spec = KeyOperationSpec {
        action: action.name().to_owned(),
    };
    let operation = Operation::new("", &resource, spec);
    let api = Api::<Operation>::all_with(client, &resource);
    match api.create(&Default::default(), &operation).await {
        Ok(answer) => answer
            .status
            .context("the server responded without a result"),
        Err(kube::Error::Api(status)) if status.code == 404 => bail!(
            "the server of --kubeconfig or KUBECONFIG does not serve {}.{}: it is not a kubeconfig-apiserver, or is an older version",
            KeyOperation::PLURAL,
            ext::GROUP
        ),
        Err(error) => Err(told(error)),
    }
}

fn signing_rows(keys: &[SigningKeyInfo]) -> Vec<[String; 6]> {
    let row = |key: &SigningKeyInfo| {
        [
            key.kid.clone(),
            key.state.clone(),
            shown(key.created.as_ref()),
            shown(key.activates.as_ref()),
            shown(key.retires.as_ref()),
            shown(key.expires.as_ref()),
        ]
    };
    keys.iter().map(row).collect()
}

fn encryption_rows(keys: &[EncryptionKeyInfo]) -> Vec<[String; 3]> {
    let row = |key: &EncryptionKeyInfo| {
        let newest = if key.newest { "yes" } else { "no" };
        [key.id.clone(), key.values.to_string(), newest.to_owned()]
    };
    keys.iter().map(row).collect()
}

fn shown(time: Option<&Time>) -> String {
    time.map_or_else(|| NONE.to_owned(), |time| rfc3339(time.0))
}

/// Prints the meaning of the operation and the next steps to stderr.
fn explain(console: &Console, action: KeyAction, status: &KeyOperationStatus) {
    match action {
        KeyAction::List => {}
        KeyAction::Rotate => {
            console.say(
                "The pending key starts to sign at the time in the column SIGNS FROM. All tokens stay valid.",
            );
        }
        KeyAction::RevokeAll => {
            let revoked = match status.revoked.unwrap_or_default() {
                1 => "1 signing key was".to_owned(),
                number => format!("{number} signing keys were"),
            };
            console.say(format_args!(
                "{revoked} removed. Every token that was issued before is invalid."
            ));
            console.say(
                "Ask users to create their kubeconfigs again; the old records can be deleted.",
            );
            console.say(
                "Clusters that verify tokens by OIDC keep the old keys until they read the key set again: restart their kube-apiserver to make sure.",
            );
        }
        KeyAction::Reseal => explain_reseal(console, status),
    }
}

fn explain_reseal(console: &Console, status: &KeyOperationStatus) {
    let resealed = match status.resealed.unwrap_or_default() {
        1 => "1 value was".to_owned(),
        number => format!("{number} values were"),
    };
    console.say(format_args!(
        "{resealed} encrypted again with the newest key."
    ));
    let unreadable = status.unreadable.unwrap_or_default();
    if unreadable > 0 {
        console.say(format_args!(
            "{unreadable} values cannot be decrypted with any key of the file and were left as they are."
        ));
    }
    match status.encryption_keys.iter().all(|key| key.newest) {
        true => console.say("Every other line of the file of encryption keys can be removed."),
        false => console.say(
            "An older key is still in use: another replica writes with it. Give all replicas the same first line, restart them, and repeat the command.",
        ),
    }
}
