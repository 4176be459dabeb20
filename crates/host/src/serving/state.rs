//! The state that the replicas share, and its format in the Secret.

use std::collections::BTreeMap;
use std::sync::Arc;

use certificates::{Authority, Certificate, Error, Pair, PrivateKeyPem};
use k8s_openapi::ByteString;

/// The entries of a Secret.
pub(super) type Data = BTreeMap<String, ByteString>;

const CA: [&str; 2] = ["ca.crt", "ca.key"];
const NEXT: [&str; 2] = ["next-ca.crt", "next-ca.key"];
const PREVIOUS: [&str; 2] = ["previous-ca.crt", "previous-tls.crt"];
const LEAF: [&str; 2] = ["tls.crt", "tls.key"];

/// The state that all replicas share.
#[derive(Clone)]
pub(super) struct State {
    /// The CA that signs.
    pub(super) ca: Arc<Authority>,
    /// The CA that will sign next, once the host trusts it.
    pub(super) next: Option<Arc<Authority>>,
    /// The CA that signed before and is still trusted.
    pub(super) previous: Option<Previous>,
    /// The certificate that is served, and its key.
    pub(super) pair: Pair,
    /// The parsed certificate of `pair`.
    pub(super) leaf: Certificate,
}

/// A CA whose key was deleted.
#[derive(Clone)]
pub(super) struct Previous {
    /// Its certificate, as PEM.
    pub(super) ca: String,
    /// The last certificate that it signed, as PEM. Until that expires, a replica may still serve
    /// it.
    pub(super) leaf: String,
}

impl State {
    /// Parses the entries of the Secret.
    ///
    /// # Errors
    /// The name of an entry that is missing or invalid.
    pub(super) fn parse(data: &Data) -> Result<Self, (&'static str, Error)> {
        let ca = authority(data, CA)?;
        let next = match data.contains_key(NEXT[0]) {
            true => Some(authority(data, NEXT)?),
            false => None,
        };
        let previous = match data.contains_key(PREVIOUS[0]) {
            true => Some(Previous {
                ca: certificate(data, PREVIOUS[0])?,
                leaf: certificate(data, PREVIOUS[1])?,
            }),
            false => None,
        };
        let pair = Pair {
            certificate: text(data, LEAF[0]),
            key: PrivateKeyPem::new(text(data, LEAF[1])),
        };
        let leaf = pair.read().map_err(|error| (LEAF[0], error))?;
        if !leaf.is_signed_by(ca.certificate()) {
            return Err((LEAF[0], Error::Mismatch));
        }
        Ok(Self {
            ca,
            next,
            previous,
            pair,
            leaf,
        })
    }

    /// Returns the entries of the Secret.
    pub(super) fn data(&self) -> Data {
        let mut data = Data::new();
        let mut put = |name: &str, text: &str| {
            data.insert(name.to_owned(), ByteString(text.as_bytes().to_vec()));
        };
        put(CA[0], self.ca.certificate_pem());
        put(CA[1], self.ca.key().expose());
        if let Some(next) = &self.next {
            put(NEXT[0], next.certificate_pem());
            put(NEXT[1], next.key().expose());
        }
        if let Some(previous) = &self.previous {
            put(PREVIOUS[0], &previous.ca);
            put(PREVIOUS[1], &previous.leaf);
        }
        put(LEAF[0], &self.pair.certificate);
        put(LEAF[1], self.pair.key.expose());
        data
    }

    /// Returns the entries that are not confidential.
    pub(super) fn certificates(&self) -> Data {
        let mut data = self.data();
        data.retain(|name, _| name.ends_with(".crt"));
        data
    }

    /// Returns all CAs that clients need to trust our certificates, as PEM, the current one first.
    pub(super) fn bundle(&self) -> String {
        let next = self.next.as_ref().map(|next| next.certificate_pem());
        let previous = self.previous.as_ref().map(|previous| previous.ca.as_str());
        [Some(self.ca.certificate_pem()), next, previous]
            .into_iter()
            .flatten()
            .collect()
    }
}

fn authority(
    data: &Data,
    [certificate, key]: [&'static str; 2],
) -> Result<Arc<Authority>, (&'static str, Error)> {
    let key = PrivateKeyPem::new(text(data, key));
    let authority = Authority::from_pem(&text(data, certificate), &key);
    authority
        .map(Arc::new)
        .map_err(|error| (certificate, error))
}

fn certificate(data: &Data, name: &'static str) -> Result<String, (&'static str, Error)> {
    let pem = text(data, name);
    Certificate::from_pem(pem.as_bytes()).map_err(|error| (name, error))?;
    Ok(pem)
}

/// Returns an entry as text, or an empty string if it is missing or not text. Neither is a valid
/// certificate.
fn text(data: &Data, name: &str) -> String {
    let bytes = data.get(name).map(|value| value.0.clone());
    String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
}
