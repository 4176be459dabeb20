//! `login --from-context`: a login with the server, the CA and the credential of a context of the
//! user's kubeconfig.
//!
//! The user names the context, so the credential goes where kubectl sends it for this context, and
//! the CA of the context is trusted without a question.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use machinery::time::Clock;
use serde_json::Value;

use super::{Attempt, Choice, Vouched, lock};
use crate::environment::Environment;
use crate::files::origin::View;
use crate::files::user::UserEntry;
use crate::files::{Files, Section, filled};
use crate::folder::Folder;
use crate::server_url::ServerUrl;
use crate::session::Means;
use crate::trust::{self, MachineRoots, Trust};

/// Logs in with the context `name`, or with the current context without a name.
pub(super) async fn log_in(
    name: Option<&str>,
    environment: &Environment,
    clock: &dyn Clock,
) -> Result<()> {
    let context = ContextLogin::read(name, environment)?;
    let folder = Folder::open(environment.folder()?)?;
    let _lock = lock(&folder, &context.server).await?;
    let attempt = Attempt {
        folder: &folder,
        server: &context.server,
        vouched: &context.vouched,
        machine_roots: &environment.machine_roots,
        shares_client_with: None,
        provider: Choice::default(),
        clock,
    };
    attempt.with(context.means).await?;
    Ok(())
}

/// The parts of a context that a login needs.
#[derive(Debug)]
struct ContextLogin {
    server: ServerUrl,
    vouched: Vouched,
    means: Means,
}

impl ContextLogin {
    /// Reads a context.
    ///
    /// # Errors
    /// Fails if there is no such context, or if it has a setting that a login does not keep.
    fn read(name: Option<&str>, environment: &Environment) -> Result<Self> {
        let files = Files::new(None, environment)?.load()?;
        let view = View::new(&files);
        let name = name.or(view.current_context()).context(
            "no context of your kubeconfig is current; name one with --from-context=NAME",
        )?;
        Self::of(&view, name, &environment.machine_roots)
            .with_context(|| format!("context {name:?} cannot be used"))
    }

    fn of(view: &View<'_>, name: &str, roots: &MachineRoots) -> Result<Self> {
        let context = view.get(Section::Contexts, name);
        let context = context.context("your kubeconfig has no context of this name")?;
        let part = |section: Section| {
            let name = context[section.field()].as_str().unwrap_or_default();
            let found = view.find(section, name);
            let found = found.with_context(|| format!("it has no {}", section.field()))?;
            Ok::<_, anyhow::Error>((name, found))
        };
        let (_, (cluster_file, cluster)) = part(Section::Clusters)?;
        let (user, (user_file, _)) = part(Section::Users)?;
        let folder = cluster_file.path.parent().unwrap_or(Path::new(""));
        let by = format!("the CA in {}", cluster_file.path.display());
        let trust = trust_of(cluster, folder)?;
        Ok(Self {
            server: server(cluster)?,
            vouched: match trust.is_of_machine() {
                true => Vouched::by_machine(roots),
                false => Vouched { trust, by },
            },
            means: Means::Kubeconfig(UserEntry::new(&user_file.path, user)?),
        })
    }
}

/// Returns the server of a cluster entry.
///
/// # Errors
/// Fails if the entry is a cluster behind a server, or if it has a setting that a login does not
/// keep.
fn server(cluster: &Value) -> Result<ServerUrl> {
    for field in ["proxy-url", "tls-server-name"] {
        ensure!(
            filled(&cluster[field]).is_none(),
            "its cluster has {field}, which a login does not keep; log in with --server=URL"
        );
    }
    if cluster["insecure-skip-tls-verify"] == true {
        bail!("its cluster has insecure-skip-tls-verify, and a login is sent to no such server");
    }
    let server = filled(&cluster["server"]).context("its cluster has no server")?;
    server
        .parse()
        .with_context(|| format!("{server:?} is not the address of a kubeconfig-apiserver"))
}

/// Returns the CA of a cluster entry. Its paths are relative to this folder.
fn trust_of(cluster: &Value, folder: &Path) -> Result<Trust> {
    if let Some(data) = filled(&cluster["certificate-authority-data"]) {
        let pem = trust::decode_pem(data).ok();
        return Trust::from_pem(&pem.context("certificate-authority-data is not base64 of PEM")?);
    }
    match filled(&cluster["certificate-authority"]) {
        Some(path) => Trust::from_file(&folder.join(path)),
        None => Ok(Trust::default()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    const FILE: &str = "
current-context: token
clusters:
- { name: a, cluster: { server: 'https://a.b:8443', certificate-authority: ca.pem } }
- { name: machine, cluster: { server: 'https://c.d' } }
- { name: behind, cluster: { server: 'https://a.b/k8s/clusters/c-1' } }
- { name: insecure, cluster: { server: 'https://a.b', insecure-skip-tls-verify: true } }
- { name: proxied, cluster: { server: 'https://a.b', proxy-url: 'http://e.f' } }
- { name: renamed, cluster: { server: 'https://a.b', tls-server-name: g } }
- { name: garbled, cluster: { server: 'https://a.b', certificate-authority-data: '%' } }
users:
- { name: alice, user: { token: t } }
contexts:
- { name: token, context: { cluster: a, user: alice } }
- { name: machine, context: { cluster: machine, user: alice } }
- { name: behind, context: { cluster: behind, user: alice } }
- { name: insecure, context: { cluster: insecure, user: alice } }
- { name: proxied, context: { cluster: proxied, user: alice } }
- { name: renamed, context: { cluster: renamed, user: alice } }
- { name: garbled, context: { cluster: garbled, user: alice } }
- { name: nobody, context: { cluster: a, user: bob } }
- { name: nowhere, context: { cluster: b, user: alice } }
";

    const PEM: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    /// Reads a context of [`FILE`]. Returns the server and the reason to trust it, or the error.
    fn read(name: Option<&str>) -> Result<(String, String), String> {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("config");
        fs::write(&path, FILE).unwrap();
        fs::write(folder.path().join("ca.pem"), PEM).unwrap();
        let environment = Environment {
            kubeconfig: Some(path.into_os_string()),
            ..Environment::default()
        };
        let shown = |text: String| text.replace(&folder.path().display().to_string(), "FOLDER");
        match ContextLogin::read(name, &environment) {
            Ok(login) => Ok((login.server.to_string(), shown(login.vouched.by))),
            Err(error) => Err(shown(format!("{error:#}"))),
        }
    }

    #[test]
    fn the_context_names_the_server_and_its_authority() {
        let own = (
            "https://a.b:8443".to_owned(),
            "the CA in FOLDER/config".to_owned(),
        );
        assert_eq!(read(None), Ok(own.clone()));
        assert_eq!(read(Some("token")), Ok(own));
        let machine = (
            "https://c.d".to_owned(),
            "the CAs of this machine".to_owned(),
        );
        assert_eq!(read(Some("machine")), Ok(machine));
    }

    #[test]
    fn a_context_that_a_login_cannot_keep_is_rejected() {
        for (name, expected) in [
            ("missing", "your kubeconfig has no context of this name"),
            ("nobody", "it has no user"),
            ("nowhere", "it has no cluster"),
            (
                "insecure",
                "its cluster has insecure-skip-tls-verify, and a login is sent to no such server",
            ),
            (
                "proxied",
                "its cluster has proxy-url, which a login does not keep; log in with --server=URL",
            ),
            (
                "renamed",
                "its cluster has tls-server-name, which a login does not keep; log in with --server=URL",
            ),
            ("garbled", "certificate-authority-data is not base64 of PEM"),
        ] {
            let expected = format!("context {name:?} cannot be used: {expected}");
            assert_eq!(read(Some(name)), Err(expected));
        }
        let behind = read(Some("behind")).unwrap_err();
        let expected = "context \"behind\" cannot be used: \"https://a.b/k8s/clusters/c-1\" is not the address of a kubeconfig-apiserver: ";
        assert!(behind.starts_with(expected), "{behind}");
    }
}
