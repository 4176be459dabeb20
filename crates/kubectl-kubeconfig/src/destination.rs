//! The address that kubectl will send a credential to.
//!
//! A kubeconfig file may contain any address for a cluster, and any record and server in the
//! arguments of this program. A credential is therefore handed out only for an address that belongs
//! to its cluster. This is an address behind the server of the login, under the CA of that login,
//! or an address that the server returned together with the credential.

use anyhow::{Context, Result, bail, ensure};
use api::ext::token::TokenEndpoint;
use api::management::cluster::LOCAL;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::server_url::{self, ServerUrl};
use crate::target::Target;
use crate::trust::Trust;

/// The address that kubectl will send a credential to, as described in the kubeconfig file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) server: String,
    /// The CA in the file. `None` for the CAs of the machine.
    pub(crate) trust: Option<Trust>,
    /// The name that the certificate must have. Empty for the host of the address.
    pub(crate) tls_server_name: String,
    /// True if kubectl does not verify the certificate.
    pub(crate) insecure: bool,
}

/// An address that a credential may be sent to.
struct Allowed {
    address: Address,
    certificates: Vec<Vec<u8>>,
}

/// An `https` URL without a query: its server, and the path without trailing slashes.
#[derive(Debug, PartialEq, Eq)]
struct Address {
    server: ServerUrl,
    path: String,
}

impl Destination {
    /// Checks that a credential for `target` may be sent to this address.
    ///
    /// # Errors
    /// Returns the reason if the credential may not be sent to this address.
    pub(crate) fn check(
        &self,
        target: &Target,
        login: &Trust,
        endpoints: &[TokenEndpoint],
    ) -> Result<()> {
        let refused = || {
            let (record, cluster) = (&target.kubeconfig, &target.cluster);
            format!(
                "the credential of {record} for cluster {cluster} is not sent to {}",
                self.server
            )
        };
        let mut allowed = own(target, login)?;
        for endpoint in endpoints {
            allowed.push(Allowed::new(endpoint)?);
        }
        self.check_allowed(&allowed).with_context(refused)
    }

    fn check_allowed(&self, allowed: &[Allowed]) -> Result<()> {
        ensure!(
            !self.insecure,
            "the kubeconfig sets insecure-skip-tls-verify: true, so the identity of the server is not verified"
        );
        let address = Address::parse(&self.server)?;
        ensure!(
            self.tls_server_name.is_empty() || address.is_host(&self.tls_server_name),
            "the kubeconfig sets tls-server-name: {:?}, which is another server",
            self.tls_server_name
        );
        let same = allowed.iter();
        let same: Vec<_> = same.filter(|it| it.address == address).collect();
        ensure!(
            !same.is_empty(),
            "it is not an address that the server publishes for this cluster; if addresses changed, create the kubeconfig again"
        );
        let by_machine = same.iter().any(|it| it.certificates.is_empty());
        let vouching: Vec<_> = same.into_iter().flat_map(|it| &it.certificates).collect();
        let named = self.trust.as_ref().map(Trust::certificates);
        let named = named.transpose()?.unwrap_or_default();
        ensure!(
            !named.is_empty() || by_machine,
            "the kubeconfig has no CA for it, but your login or the server has one"
        );
        ensure!(
            named.iter().all(|it| vouching.contains(&it)),
            "the kubeconfig has a CA for it that the server does not have"
        );
        Ok(())
    }
}

/// Returns whether `text` is an `https` URL of a cluster, without anything that two parsers may
/// read differently.
pub(crate) fn is_plain_address(text: &str) -> bool {
    Address::parse(text).is_ok()
}

/// Returns the addresses behind the server of a login.
fn own(target: &Target, login: &Trust) -> Result<Vec<Allowed>> {
    let behind = server_url::behind(&target.server, &target.cluster);
    let mut addresses = vec![Address::parse(&behind)?];
    if target.cluster == LOCAL {
        addresses.push(Address::parse(target.server.as_str())?);
    }
    let certificates = login.certificates()?;
    let allowed = |address| Allowed {
        address,
        certificates: certificates.clone(),
    };
    Ok(addresses.into_iter().map(allowed).collect())
}

impl Allowed {
    fn new(endpoint: &TokenEndpoint) -> Result<Self> {
        let pem = STANDARD.decode(&endpoint.certificate_authority_data);
        let pem = pem.context("the CA of an address that the server publishes is not base64")?;
        let pem = String::from_utf8_lossy(&pem);
        let trust = Trust::from_pem(&pem)
            .context("the CA of an address that the server publishes is invalid")?;
        Ok(Self {
            address: Address::parse(&endpoint.server)?,
            certificates: trust.certificates()?,
        })
    }
}

impl Address {
    fn parse(text: &str) -> Result<Self> {
        let scheme = text.find("://").map(|at| at + "://".len());
        let Some(host) = scheme else {
            bail!("invalid URL {text:?}");
        };
        let rest = text.get(host..).unwrap_or_default();
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        ensure!(
            is_plain && !text.contains(['?', '#', '%', '\\']) && !text.contains(".."),
            "{text:?} is not the plain address of a cluster"
        );
        let path = rest.find('/').map_or(text.len(), |at| host + at);
        let (server, path) = text.split_at(path);
        Ok(Self {
            server: server.parse()?,
            path: path.trim_end_matches('/').to_owned(),
        })
    }

    fn is_host(&self, name: &str) -> bool {
        let authority = self.server.as_str().trim_start_matches("https://");
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => host,
            _ => authority,
        };
        host.eq_ignore_ascii_case(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REAL: &str = "https://real.example";

    fn pem(content: &str) -> String {
        format!("-----BEGIN CERTIFICATE-----\n{content}\n-----END CERTIFICATE-----\n")
    }

    fn trust(contents: &[&str]) -> Trust {
        Trust::from_pem(&contents.iter().map(|it| pem(it)).collect::<String>()).unwrap()
    }

    fn endpoint(server: &str, ca: &str) -> TokenEndpoint {
        TokenEndpoint {
            server: server.to_owned(),
            certificate_authority_data: STANDARD.encode(pem(ca)),
        }
    }

    fn to(server: &str) -> Destination {
        Destination {
            server: server.to_owned(),
            trust: Some(trust(&["AAAA"])),
            ..Destination::default()
        }
    }

    /// Asserts whether a credential for the cluster may be sent to `destination`, for a login that
    /// trusts `AAAA`.
    #[track_caller]
    fn check(cluster: &str, destination: &Destination, expected: Result<(), &str>) {
        let target = Target::for_test(REAL, "kubeconfig-1", cluster);
        let endpoints = [
            endpoint("https://direct.example", "BBBB"),
            endpoint(&format!("{REAL}/k8s/clusters/{cluster}"), "CCCC"),
        ];
        let found = destination.check(&target, &trust(&["AAAA"]), &endpoints);
        let found = found.map_err(|error| format!("{error:#}"));
        match (found, expected) {
            (Ok(()), Ok(())) => (),
            (Err(found), Err(expected)) => assert!(found.ends_with(expected), "{found}"),
            (found, _) => panic!("{destination:?}: {found:?}"),
        }
    }

    #[test]
    fn a_credential_goes_to_the_addresses_of_its_cluster_alone() {
        let other = Err(
            "it is not an address that the server publishes for this cluster; if addresses changed, create the kubeconfig again",
        );
        let direct = Destination {
            trust: Some(trust(&["BBBB"])),
            ..to("https://direct.example/")
        };
        check("c-1", &direct, Ok(()));
        for server in [
            "https://real.example/k8s/clusters/c-1",
            "https://REAL.example:443/k8s/clusters/c-1/",
        ] {
            check("c-1", &to(server), Ok(()));
            check("c-2", &to(server), other);
        }
        check("local", &to(REAL), Ok(()));
        check(
            "local",
            &to("https://real.example/k8s/clusters/local"),
            Ok(()),
        );
        for server in [
            "https://evil.example",
            "https://evil.example/k8s/clusters/c-1",
            "https://real.example:8443/k8s/clusters/c-1",
            "https://real.example/k8s/clusters/c-1/x",
            "https://real.example/K8S/clusters/c-1",
            "https://direct.example/x",
            REAL,
        ] {
            check("c-1", &to(server), other);
        }
        for server in [
            "http://real.example/k8s/clusters/c-1",
            "https://real.example@evil.example/k8s/clusters/c-1",
            "https://evil.example\\@real.example/k8s/clusters/c-1",
            "https://real.example/k8s/clusters/c-2/../c-1",
            "https://real.example/k8s/clusters/c-1?x",
            "https://real.example/k8s/clusters/c%2d1",
            "real.example",
            "",
        ] {
            let target = Target::for_test(REAL, "kubeconfig-1", "c-1");
            let found = to(server).check(&target, &trust(&["AAAA"]), &[]);
            assert!(found.is_err(), "{server}");
        }
    }

    #[test]
    fn who_vouches_for_the_address_is_not_for_the_file_to_say() {
        let good = to("https://real.example/k8s/clusters/c-1");
        let with = |contents: &[&str]| Destination {
            trust: Some(trust(contents)),
            ..good.clone()
        };
        let of_machine = Destination {
            trust: None,
            ..good.clone()
        };
        let no_ca = Err("the kubeconfig has no CA for it, but your login or the server has one");
        check("c-1", &of_machine, no_ca);
        let target = Target::for_test(REAL, "kubeconfig-1", "c-1");
        let login = Trust::default();
        assert!(of_machine.check(&target, &login, &[]).is_ok());
        check("c-1", &with(&["CCCC"]), Ok(()));
        check("c-1", &with(&["CCCC", "AAAA"]), Ok(()));
        let other = Err("the kubeconfig has a CA for it that the server does not have");
        for contents in [&["DDDD"][..], &["AAAA", "DDDD"], &["BBBB"]] {
            check("c-1", &with(contents), other);
        }
        let insecure = Destination {
            insecure: true,
            ..good.clone()
        };
        check(
            "c-1",
            &insecure,
            Err("so the identity of the server is not verified"),
        );
        let named = |name: &str| Destination {
            tls_server_name: name.to_owned(),
            ..good.clone()
        };
        check("c-1", &named("Real.example"), Ok(()));
        check(
            "c-1",
            &named("evil.example"),
            Err("the kubeconfig sets tls-server-name: \"evil.example\", which is another server"),
        );
    }
}
