//! Client certificates for clusters that trust a certificate authority of this server.

use api::management::Cluster;
use auth::identity::Part;
use auth::user::RESERVED_PREFIX;
use certificates::{Authority, CertificateRequest, PrivateKeyPem, Validity};
use k8s_openapi::api::core::v1::Secret;
use machinery::meta::GroupResource;
use machinery::status::Status;
use management::cluster_secret::{ClusterSecrets, FromSecret, Owned, Purpose};

/// Keys of a Secret of type `kubernetes.io/tls`.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const TLS: &str = "kubernetes.io/tls";

/// Maximum length of a certificate request, in bytes. A request for an RSA key of 8192 bits has
/// 4000.
const MAX_REQUEST: usize = 16 * 1024;

/// Issues a certificate for the key of this request, for a user with these groups at the cluster.
/// Returns it in PEM, followed by the certificates of its authority.
///
/// # Errors
/// 400 for a malformed request and for a cluster that is not set up for certificates; 403 for a
/// user name that no cluster may read in a certificate; 500 if the authority cannot be used.
pub(crate) async fn issue(
    signers: &ClusterSecrets,
    cluster: &Cluster,
    user: &str,
    groups: &[String],
    request: &str,
    validity: Validity,
) -> Result<String, Status> {
    check_user(user)?;
    let request = read(request)?;
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let id = cluster.id();
    if cluster.client_signer().is_none() {
        return Err(Status::bad_request(format!(
            "cluster {id} is not set up for client certificates (spec.clientCertificates)"
        )));
    }
    let signer: Owned<SignerSecret> = signers
        .latest(Purpose::Signer, cluster)
        .await?
        .map_err(|unowned| unusable(id, &unowned.to_string()))?;
    let Signer { chain, authority } = signer.0.as_ref().map_err(|why| unusable(id, why))?;
    if authority.certificate().validity.not_after < validity.not_after {
        return Err(unusable(id, "the authority expires before the certificate"));
    }
    let certificate = authority.client_for(user, &groups, &request, validity);
    let certificate = certificate.map_err(|error| unusable(id, &error.to_string()))?;
    Ok(format!("{certificate}{chain}"))
}

/// Checks the user name, because the cluster trusts the common name as it reads it.
fn check_user(user: &str) -> Result<(), Status> {
    let refused = |why: &str| Status::forbidden(&GroupResource::default(), "", why);
    Part::UserName
        .check(user)
        .map_err(|error| refused(&error.to_string()))?;
    match user.starts_with(RESERVED_PREFIX) {
        true => Err(refused(&format!("{user:?} is reserved by Kubernetes"))),
        false => Ok(()),
    }
}

fn unusable(cluster: &str, why: &str) -> Status {
    tracing::error!(cluster, why, "a client certificate cannot be signed");
    Status::internal(format!(
        "the authority that signs client certificates for cluster {cluster} cannot be used; an administrator can find the reason in the log"
    ))
}

fn read(request: &str) -> Result<CertificateRequest, Status> {
    let text = Some(request).filter(|text| text.len() <= MAX_REQUEST);
    let read = text.and_then(|text| CertificateRequest::from_pem(text).ok());
    read.ok_or_else(|| {
        Status::bad_request(
            "spec.certificateSigningRequest must be a PEM-encoded PKCS #10 request that is signed with its own key",
        )
    })
}

/// The certificate authority of a cluster, with its certificates as stored in the Secret.
struct Signer {
    chain: String,
    authority: Authority,
}

/// The signer in a Secret, or the reason that the Secret cannot be used.
struct SignerSecret(Result<Signer, String>);

impl FromSecret for SignerSecret {
    fn from_secret(secret: &Secret) -> Self {
        Self(Signer::read(secret))
    }
}

impl Signer {
    fn read(secret: &Secret) -> Result<Self, String> {
        if secret.type_.as_deref() != Some(TLS) {
            return Err(format!("its Secret is not of type {TLS}"));
        }
        let text = |key: &str| {
            let value = secret.data.as_ref().and_then(|data| data.get(key));
            let text = value.and_then(|value| std::str::from_utf8(&value.0).ok());
            text.ok_or_else(|| format!("its Secret has no text in {key}"))
        };
        let (chain, key) = (text(CERTIFICATE)?, text(KEY)?);
        let key = PrivateKeyPem::new(key.to_owned());
        let authority = Authority::from_pem(chain, &key).map_err(|error| error.to_string())?;
        Ok(Self {
            chain: chain.to_owned(),
            authority,
        })
    }
}
