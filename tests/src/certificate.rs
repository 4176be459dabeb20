//! Client certificates of users that are unknown to the server.

use std::fs;
use std::path::Path;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use serde_json::{Value, json};

/// Returns the administrator's kubeconfig of a data folder, with a certificate for `user` instead.
pub(crate) fn kubeconfig(data_dir: &Path, user: &str) -> anyhow::Result<String> {
    let read = |name: &str| fs::read_to_string(data_dir.join(name));
    let ca_key = KeyPair::from_pem(&read("ca.key")?)?;
    let ca = Issuer::from_ca_cert_pem(&read("ca.crt")?, ca_key)?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, user);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.signed_by(&key, &ca)?;
    let mut file: Value = serde_saphyr::from_str(&read("admin.kubeconfig")?)?;
    let credentials = file.pointer_mut("/users/0/user").context("no user")?;
    *credentials = json!({
        "client-certificate-data": STANDARD.encode(certificate.pem()),
        "client-key-data": STANDARD.encode(key.serialize_pem()),
    });
    Ok(file.to_string())
}
