//! The conversion of a certificate's subject to a user.

use std::collections::BTreeMap;

use rustls::pki_types::CertificateDer;
use x509_parser::der_parser::{Oid, oid};
use x509_parser::oid_registry::{OID_X509_COMMON_NAME, OID_X509_ORGANIZATION_NAME};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::verdicts::Fingerprint;
use crate::authenticator::FailureReason;
use crate::user::{CREDENTIAL_ID, UserInfo};

/// The subject attribute that holds the uid (feature gate `AllowParsingUserUIDFromCertAuth`).
const USER_UID: Oid<'static> = oid!(1.3.6.1.4.1.57683.2);

/// Returns the user that `certificate` names. Does not check the signature.
pub(super) fn user_of(
    certificate: &CertificateDer<'_>,
    fingerprint: &Fingerprint,
) -> Result<UserInfo, FailureReason> {
    let (_, certificate) = X509Certificate::from_der(certificate)
        .map_err(|_| FailureReason::new("the certificate cannot be parsed"))?;
    let subject = certificate.subject();
    let mut user = UserInfo {
        extra: credential_id(fingerprint),
        ..UserInfo::default()
    };
    for attribute in subject.iter_attributes() {
        let oid = attribute.attr_type();
        let is_known = [
            &OID_X509_COMMON_NAME,
            &OID_X509_ORGANIZATION_NAME,
            &USER_UID,
        ]
        .contains(&oid);
        if !is_known {
            continue;
        }
        let value = attribute
            .as_str()
            .map_err(|_| FailureReason::new("the subject of the certificate is not a string"))?;
        if *oid == OID_X509_COMMON_NAME {
            value.clone_into(&mut user.name);
        } else if *oid == OID_X509_ORGANIZATION_NAME {
            user.groups.push(value.to_owned());
        } else if value.is_empty() || !user.uid.is_empty() {
            let reason = "the subject of the certificate has an empty uid or more than one";
            return Err(FailureReason::new(reason));
        } else {
            value.clone_into(&mut user.uid);
        }
    }
    if user.name.is_empty() {
        let reason = "the subject of the certificate has no common name";
        return Err(FailureReason::new(reason));
    }
    Ok(user)
}

fn credential_id(fingerprint: &Fingerprint) -> BTreeMap<String, Vec<String>> {
    let hex: String = fingerprint
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    BTreeMap::from([(CREDENTIAL_ID.to_owned(), vec![format!("X509SHA256={hex}")])])
}
