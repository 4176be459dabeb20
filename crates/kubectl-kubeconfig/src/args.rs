//! The command line.

use clap::{Parser, Subcommand};

use crate::server_url::ServerUrl;

mod login;
mod people;

pub(crate) use login::{LoginArgs, LogoutArgs};
pub(crate) use people::{
    AccessArgs, AccessOutput, CompletionArgs, CompletionFor, CreateArgs, DeleteArgs, ListArgs,
    MergeArgs, Output, PruneArgs, ServerArgs, StatusArgs,
};

/// Gets kubeconfigs from a kubeconfig-apiserver, and credentials for those that contain none.
///
/// A kubeconfig is a record at the server and a file on your machine. Deleting the record invalidates
/// all copies of the file. A file without tokens runs this plugin, which gets a short-lived
/// credential for your login:
///
///   kubectl kubeconfig login --server=https://HOST
///   kubectl kubeconfig create --cluster=prod --ttl=8h --merge
///   kubectl --context=prod get pods
///   kubectl kubeconfig status
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-kubeconfig",
    bin_name = "kubectl kubeconfig",
    version,
    max_term_width = 100,
    verbatim_doc_comment
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Prints a credential for kubectl; kubeconfig files run this
    ///
    /// Responds to client-go (client.authentication.k8s.io v1 and v1beta1) with a short-lived token or
    /// client certificate that is bound to the record of the file. Nothing else is printed to stdout.
    /// Values that are not set by flags are taken from KUBERNETES_EXEC_INFO, if the file sets
    /// provideClusterInfo: true.
    #[command(verbatim_doc_comment)]
    Credential(CredentialArgs),

    /// Logs in at a server, and stores the login for `credential` and the other commands
    ///
    /// If you pass no token or certificate, the OpenID Connect provider of the server is used:
    ///
    ///   kubectl kubeconfig login --from-context                            # with your kubeconfig
    ///   kubectl kubeconfig login --server=https://HOST                     # in your browser
    ///   kubectl kubeconfig login --server=https://HOST --device-code       # in another browser
    ///   kubectl kubeconfig login --server=https://HOST --token-file=FILE   # with a token you have
    #[command(verbatim_doc_comment)]
    Login(LoginArgs),

    /// Removes logins, and revokes the credentials that they were exchanged for.
    Logout(LogoutArgs),

    /// Removes the stored credentials and revokes them, but keeps the logins.
    Clean,

    /// Creates a kubeconfig, and stores its file
    ///
    ///   kubectl kubeconfig create --cluster=prod --ttl=8h --merge --use-context
    ///   kubectl kubeconfig create --all-clusters --file=all.kubeconfig --generate-token=false
    #[command(verbatim_doc_comment)]
    Create(CreateArgs),

    /// Lists your kubeconfigs at the server, with their expiry and state.
    List(ListArgs),

    /// Lists who may use a cluster or which clusters a user may use, and why; for administrators
    ///
    /// The groups are those that a user or the members of a group have in the cluster. For a user, they
    /// are those of the last logins, and those of grants.
    ///
    ///   kubectl kubeconfig access --cluster=prod
    ///   kubectl kubeconfig access --user=dana@example.com
    #[command(verbatim_doc_comment)]
    Access(AccessArgs),

    /// Merges kubeconfig files into yours
    ///
    /// Your entries are not replaced: if a name is already in use, the incoming cluster, user or context
    /// is renamed. The merged file is readable only by you. It is locked, so that kubectl does not change
    /// it at the same time.
    ///
    ///   kubectl kubeconfig merge ~/Downloads/prod.yaml
    #[command(verbatim_doc_comment)]
    Merge(MergeArgs),

    /// Removes contexts from your kubeconfig whose record was deleted
    ///
    /// Only contexts of files from a kubeconfig-apiserver are removed, and only if one of your logins can
    /// confirm that the record was deleted. Clusters and users that nothing else refers to are removed
    /// too.
    #[command(verbatim_doc_comment)]
    Prune(PruneArgs),

    /// Deletes kubeconfigs at the server
    ///
    /// Their files, and all credentials that were issued for them, stop working immediately; client
    /// certificates within minutes.
    #[command(verbatim_doc_comment)]
    Delete(DeleteArgs),

    /// Shows your logins, and the state of the contexts in your kubeconfig.
    Status(StatusArgs),

    /// Prints a script that completes commands and flags when you press TAB.
    Completion(CompletionArgs),

    /// Prints the completions that kubectl requests when the user presses TAB.
    #[command(name = "__complete", hide = true)]
    Complete {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

/// Flags of `credential`.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct CredentialArgs {
    /// Server that issues the credential, https://HOST or https://HOST:PORT.
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<ServerUrl>,

    /// Record of the kubeconfig file, by name.
    #[arg(long, value_name = "NAME")]
    pub(crate) kubeconfig: Option<String>,

    /// Cluster that the credential is for, by ID. Defaults to `local`, the server itself.
    #[arg(long, value_name = "ID")]
    pub(crate) cluster: Option<String>,

    /// Get a client certificate instead of a token.
    #[arg(long)]
    pub(crate) client_certificate: bool,

    /// Never prompt and never open a browser, even on a terminal.
    #[arg(long)]
    pub(crate) non_interactive: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn help_is_shown_as_it_is_written() {
        let mut root = Args::command();
        root.build();
        for command in root.get_subcommands() {
            let about = command.get_long_about().or(command.get_about());
            let about = about.map(ToString::to_string).unwrap_or_default();
            let first = about.lines().next().unwrap_or_default();
            assert!(!first.ends_with('.'), "{first}");
            // Narrower than `max_term_width`.
            let widest = about.lines().map(str::len).max();
            assert!(
                command.get_long_about().is_none() || widest < Some(100),
                "{about}"
            );
        }
    }
}
