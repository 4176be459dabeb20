//! The target of a credential: a record, one of its clusters, and the server of both.

use anyhow::{Context, Result, bail, ensure};
use api::management::cluster::LOCAL;
use api::plugin::ExecClusterConfig;
use machinery::validation::{dns1123_label, dns1123_subdomain};

use crate::args::CredentialArgs;
use crate::destination::Destination;
use crate::exec_credential::{Cluster, Request, server_trust};
use crate::http_client::Route;
use crate::server_url::{self, ServerUrl};
use crate::trust::Trust;

/// The target of a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The server that issues the credential.
    pub(crate) server: ServerUrl,
    /// The CA of the server, as named by the file. Logins with this CA are preferred. A connection
    /// trusts it only after the consent of the user.
    pub(crate) trust: Option<Trust>,
    /// The record of the file.
    pub(crate) kubeconfig: String,
    /// The cluster.
    pub(crate) cluster: String,
    /// The audience of tokens for the cluster, as named by the file.
    pub(crate) audience: Option<String>,
    /// True if the credential must be a client certificate.
    pub(crate) certificate: bool,
    /// The address that the credential will be sent to. `None` if the user runs the program by
    /// hand.
    pub(crate) destination: Option<Destination>,
    proxy: Option<String>,
}

impl Target {
    /// Combines the flags and the extension of the cluster in the file. Flags take precedence.
    ///
    /// # Errors
    /// Fails if neither names the server and the record, if a name is invalid, or if client-go does
    /// not send the address that the credential will be sent to.
    pub(crate) fn new(args: &CredentialArgs, request: &Request) -> Result<Self> {
        ensure!(
            request.is_by_hand() || request.cluster.is_some(),
            "the kubeconfig does not set provideClusterInfo: true, so the address that the credential will be sent to cannot be checked; create the kubeconfig again, or add that line to the exec entries of its users"
        );
        let cluster = request.cluster.clone().unwrap_or_default();
        let config = Source::new(args, cluster.config.as_ref());
        let server = config.server()?;
        let kubeconfig = config.text(args.kubeconfig.as_deref(), |it| &it.kubeconfig);
        let kubeconfig = kubeconfig
            .context("--kubeconfig=NAME is missing, and the file does not name its record")?;
        let cluster_name = config.text(args.cluster.as_deref(), |it| &it.cluster);
        let cluster_name = cluster_name.unwrap_or_else(|| LOCAL.to_owned());
        check("kubeconfig", &kubeconfig, dns1123_subdomain(&kubeconfig))?;
        check("cluster", &cluster_name, dns1123_label(&cluster_name))?;
        let on_the_way = OnTheWay::new(&cluster, &server)?;
        let trust = match config.config {
            Some(config) => server_trust(config)?.or(on_the_way.trust),
            None => on_the_way.trust,
        };
        Ok(Self {
            server,
            trust,
            kubeconfig,
            audience: config.audience(&cluster_name),
            cluster: cluster_name,
            certificate: args.client_certificate,
            destination: request.cluster.as_ref().map(destination).transpose()?,
            proxy: on_the_way.proxy,
        })
    }

    /// Returns the route to the server for a login with this trust. The certificate must match the
    /// host of the server's URL: a file that could choose another name and a proxy could choose the
    /// server.
    pub(crate) fn route(&self, trust: &Trust) -> Route {
        Route {
            trust: trust.clone(),
            proxy: self.proxy.clone(),
        }
    }
}

/// Returns the address in the file.
fn destination(cluster: &Cluster) -> Result<Destination> {
    Ok(Destination {
        server: cluster.server.clone(),
        trust: cluster.trust()?,
        tls_server_name: cluster.tls_server_name.clone(),
        insecure: cluster.insecure_skip_tls_verify,
    })
}

/// The flags and the extension. The extension is ignored if the flags name another server.
struct Source<'a> {
    flag: Option<ServerUrl>,
    config: Option<&'a ExecClusterConfig>,
}

impl<'a> Source<'a> {
    fn new(args: &CredentialArgs, config: Option<&'a ExecClusterConfig>) -> Self {
        let flag = args.server.clone();
        let is_same = |config: &&ExecClusterConfig| match &flag {
            Some(flag) => config.server.parse().is_ok_and(|it: ServerUrl| it == *flag),
            None => true,
        };
        Self {
            config: config.filter(is_same),
            flag,
        }
    }

    fn server(&self) -> Result<ServerUrl> {
        let from_file = self.config.map(|config| config.server.as_str());
        match (&self.flag, from_file.filter(|it| !it.is_empty())) {
            (Some(flag), _) => Ok(flag.clone()),
            (None, Some(server)) => Ok(server.parse()?),
            (None, None) => {
                bail!("--server=URL is missing, and the file does not name its server")
            }
        }
    }

    /// Returns the audience, if the extension is about this cluster.
    fn audience(&self, cluster: &str) -> Option<String> {
        let config = self.config.filter(|config| config.cluster == cluster)?;
        Some(config.audience.clone()).filter(|audience| !audience.is_empty())
    }

    fn text(
        &self,
        flag: Option<&str>,
        field: impl Fn(&ExecClusterConfig) -> &String,
    ) -> Option<String> {
        let from_file = self.config.map(|config| field(config).as_str());
        let text = flag.or(from_file).filter(|text| !text.is_empty());
        text.map(str::to_owned)
    }
}

/// The CA and the proxy that the file names for the cluster, if the cluster is reached through the
/// server.
#[derive(Default)]
struct OnTheWay {
    trust: Option<Trust>,
    proxy: Option<String>,
}

impl OnTheWay {
    fn new(cluster: &Cluster, server: &ServerUrl) -> Result<Self> {
        let front = server_url::in_front_of(&cluster.server);
        if !front.is_ok_and(|front| front == *server) {
            return Ok(Self::default());
        }
        let filled = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Ok(Self {
            trust: cluster.trust()?,
            proxy: filled(&cluster.proxy_url),
        })
    }
}

fn check(what: &str, name: &str, faults: Vec<String>) -> Result<()> {
    let fault = faults.first().map(String::as_str).unwrap_or_default();
    ensure!(
        fault.is_empty(),
        "{name:?} cannot be the name of a {what}: {fault}"
    );
    Ok(())
}

#[cfg(test)]
impl Target {
    /// Returns a target for a token without a destination.
    pub(crate) fn for_test(server: &str, kubeconfig: &str, cluster: &str) -> Self {
        Self {
            server: server.parse().unwrap(),
            trust: None,
            kubeconfig: kubeconfig.to_owned(),
            cluster: cluster.to_owned(),
            audience: None,
            certificate: false,
            destination: None,
            proxy: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use serde_json::{Value, json};

    use super::*;

    /// The PEM of a certificate as base64. Its content does not matter.
    const CA: &str =
        "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBQUEKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=";

    fn trust() -> Trust {
        Trust::from_pem("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----").unwrap()
    }

    fn target(args: &CredentialArgs, cluster: Value) -> Result<Target, String> {
        let info = json!({
            "apiVersion": "client.authentication.k8s.io/v1",
            "kind": "ExecCredential",
            "spec": { "interactive": false, "cluster": cluster },
        });
        let request = Request::parse(Some(OsStr::new(&info.to_string()))).unwrap();
        Target::new(args, &request).map_err(|error| format!("{error:#}"))
    }

    fn flags(server: &str, kubeconfig: &str, cluster: &str) -> CredentialArgs {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        CredentialArgs {
            server: some(server).map(|it| it.parse().unwrap()),
            kubeconfig: some(kubeconfig),
            cluster: some(cluster),
            ..CredentialArgs::default()
        }
    }

    fn expected(kubeconfig: &str, cluster: &str) -> Target {
        Target {
            destination: Some(Destination::default()),
            ..Target::for_test("https://a.b", kubeconfig, cluster)
        }
    }

    /// Returns the destination for an address in the file, without a CA.
    fn destination(server: &str) -> Option<Destination> {
        Some(Destination {
            server: server.to_owned(),
            ..Destination::default()
        })
    }

    #[test]
    fn a_file_that_does_not_say_where_the_credential_goes_gets_none() {
        let flags = flags("https://a.b", "kubeconfig-1", "c-1");
        let error = target(&flags, Value::Null).unwrap_err();
        let expected = "the kubeconfig does not set provideClusterInfo: true";
        assert!(error.starts_with(expected), "{error}");
        let by_hand = Target::new(&flags, &Request::parse(None).unwrap()).unwrap();
        let expected = Target::for_test("https://a.b", "kubeconfig-1", "c-1");
        assert_eq!(by_hand, expected);
    }

    #[test]
    fn flags_are_enough() {
        let found = target(&flags("https://a.b", "kubeconfig-1", "c-1"), json!({}));
        assert_eq!(found, Ok(expected("kubeconfig-1", "c-1")));
        let found = target(&flags("https://a.b", "kubeconfig-1", ""), json!({}));
        assert_eq!(found, Ok(expected("kubeconfig-1", "local")));
    }

    #[test]
    fn the_extension_is_enough() {
        let found = target(
            &flags("", "", ""),
            json!({
                "server": "https://a.b/k8s/clusters/c-1",
                "proxy-url": "http://proxy:3128",
                "tls-server-name": "name",
                "insecure-skip-tls-verify": true,
                "certificate-authority-data": CA,
                "config": {
                    "server": "https://a.b",
                    "certificateAuthorityData": CA,
                    "kubeconfig": "kubeconfig-1",
                    "cluster": "c-1",
                },
            }),
        );
        let expected = Target {
            trust: Some(trust()),
            proxy: Some("http://proxy:3128".to_owned()),
            destination: Some(Destination {
                server: "https://a.b/k8s/clusters/c-1".to_owned(),
                trust: Some(trust()),
                tls_server_name: "name".to_owned(),
                insecure: true,
            }),
            ..expected("kubeconfig-1", "c-1")
        };
        assert_eq!(found, Ok(expected));
    }

    #[test]
    fn flags_win_and_the_extension_of_another_server_says_nothing() {
        let config = json!({
            "server": "https://other",
            "certificateAuthorityData": CA,
            "kubeconfig": "kubeconfig-2",
            "cluster": "c-2",
        });
        let found = target(
            &flags("https://a.b", "kubeconfig-1", ""),
            json!({ "server": "https://other", "config": config }),
        );
        let local = Target {
            destination: destination("https://other"),
            ..expected("kubeconfig-1", "local")
        };
        assert_eq!(found, Ok(local));
        let found = target(
            &flags("https://other", "", "c-1"),
            json!({ "server": "https://direct.b", "proxy-url": "http://proxy:3128", "config": config }),
        );
        let expected = Target {
            server: "https://other".parse().unwrap(),
            trust: Some(trust()),
            destination: destination("https://direct.b"),
            ..expected("kubeconfig-2", "c-1")
        };
        assert_eq!(found, Ok(expected), "the proxy is that of another machine");
    }

    #[test]
    fn names_that_cannot_be_names_are_refused() {
        for (args, expected) in [
            (flags("", "k", "c"), "--server=URL is missing"),
            (
                flags("https://a.b", "", "c"),
                "--kubeconfig=NAME is missing",
            ),
            (
                flags("https://a.b", "../x", "c"),
                "\"../x\" cannot be the name of a kubeconfig",
            ),
            (
                flags("https://a.b", "k", "a/b"),
                "\"a/b\" cannot be the name of a cluster",
            ),
        ] {
            let error = target(&args, json!({})).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
