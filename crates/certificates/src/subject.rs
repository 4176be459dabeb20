//! The subject of a client certificate as Kubernetes reads it: a common name, and an organization
//! for each group. The library that issues certificates supports only one organization.

use der::asn1::{BitString, ObjectIdentifier, SetOfVec};
use der::pem::{LineEnding, encode_string};
use der::{Any, Decode, Encode, Tag};

use crate::Error;

/// Object identifiers of attributes (RFC 5280, appendix A.1).
const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// The position of the subject in a `TBSCertificate` of version 3 (RFC 5280, section 4.1).
const SUBJECT: usize = 5;

/// Replaces the subject of a certificate in DER by that of a user in these groups, and signs it
/// again. Returns it in PEM.
pub(crate) fn replace(
    certificate: &[u8],
    user: &str,
    groups: &[&str],
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, Error>,
) -> Result<String, Error> {
    let mut whole = Vec::<Any>::from_der(certificate)?;
    let [body, _, signature] = &mut whole[..] else {
        return Err(Error::NoCertificate);
    };
    let mut fields: Vec<Any> = body.decode_as()?;
    let subject = fields.get_mut(SUBJECT).ok_or(Error::NoCertificate)?;
    *subject = name(user, groups)?;
    *body = Any::encode_from(&fields)?;
    *signature = Any::encode_from(&BitString::from_bytes(&sign(&body.to_der()?)?)?)?;
    let pem = encode_string("CERTIFICATE", LineEnding::LF, &whole.to_der()?);
    pem.map_err(|error| Error::Encode(error.into()))
}

fn name(user: &str, groups: &[&str]) -> der::Result<Any> {
    let groups = groups.iter().map(|group| attribute(ORGANIZATION, group));
    let names: Vec<Any> = groups
        .chain([attribute(COMMON_NAME, user)])
        .collect::<Result<_, _>>()?;
    Any::encode_from(&names)
}

/// Returns a relative name with one attribute.
fn attribute(kind: ObjectIdentifier, text: &str) -> der::Result<Any> {
    let value = Any::new(Tag::Utf8String, text.as_bytes())?;
    let pair = Any::encode_from(&vec![Any::encode_from(&kind)?, value])?;
    Any::encode_from(&SetOfVec::try_from(vec![pair])?)
}
