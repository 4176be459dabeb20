//! Certificates: the CAs that the host trusts, and the serving certificate.
//!
//! The certificate that the pods currently serve is not visible here, because the proxies of the
//! API server do not expose it. The APIService reports whether the host accepts it.

use certificates::{Certificate, Names};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use machinery::meta::MetadataExt;

use super::report::Report;
use super::scene::{API_SERVICE, Scene};
use crate::client::told;

const TOPIC: &str = "certificates";

/// Remaining lifetime below which a certificate is reported. A serving certificate is renewed ten
/// days before its expiry, and a CA long before.
const SOON: SignedDuration = SignedDuration::from_hours(24 * 9);

/// Checks the CA bundle and the certificate in the Secret.
pub(super) async fn check(scene: &Scene, report: &mut Report) {
    let bundle = bundle(scene, report);
    let Some(name) = secret_name(scene) else {
        report.warning(
            TOPIC,
            "the serving certificate comes from files outside a Secret: not checked",
            "check that they are valid for the Service and issued by a CA in caBundle",
        );
        return;
    };
    let secrets = Api::<Secret>::namespaced(scene.host.clone(), &scene.namespace);
    match secrets.get_opt(&name).await.map_err(told) {
        Ok(Some(secret)) => leaf(scene, &secret, bundle.as_deref(), report),
        Ok(None) => report.problem(
            TOPIC,
            format!("Secret {}/{name} with the serving certificate does not exist", scene.namespace),
            "the server creates it at startup unless it uses certificate files: check its pods and its log",
        ),
        Err(error) => report.unseen(TOPIC, "the serving certificate", &error),
    }
}

/// Checks the CA bundle of the APIService, and returns its valid CAs if the APIService is ours.
fn bundle(scene: &Scene, report: &mut Report) -> Option<Vec<Certificate>> {
    let spec = scene.api_service.as_ref()?.spec.as_ref()?;
    if !scene.is_registered() || spec.insecure_skip_tls_verify == Some(true) {
        return None;
    }
    let pem = spec.ca_bundle.as_ref().map(|bundle| bundle.0.as_slice());
    let Some(pem) = pem.filter(|pem| !pem.is_empty()) else {
        report.problem(
            TOPIC,
            format!("APIService {API_SERVICE} has no caBundle: the host trusts only the CAs of its own machines"),
            "run the server with permission to patch it, or set it yourself if the certificate comes from files",
        );
        return None;
    };
    let Ok(bundle) = Certificate::bundle_from_pem(pem) else {
        report.problem(
            TOPIC,
            format!("the caBundle of APIService {API_SERVICE} is not a list of certificates"),
            "remove it: a server that creates its own certificate sets the correct caBundle",
        );
        return None;
    };
    let (over, valid): (Vec<_>, Vec<_>) = bundle
        .into_iter()
        .partition(|ca| ca.validity.left(scene.now) <= SignedDuration::ZERO);
    for ca in &over {
        let what = format!(
            "{} in the caBundle expired at {}",
            ca.subject, ca.validity.not_after
        );
        let to_do = "no action if another CA in it issued the certificate; the server removes expired CAs that it added, remove others yourself";
        report.warning(TOPIC, what, to_do);
    }
    for ca in &valid {
        let until = ca.validity.not_after;
        if ca.validity.left(scene.now) < SOON {
            let what = format!("{} in the caBundle expires soon, at {until}", ca.subject);
            report.warning(
                TOPIC,
                what,
                "check that the next CA is in the caBundle as well",
            );
        } else {
            report.ok(
                TOPIC,
                format!("the host trusts {} until {until}", ca.subject),
            );
        }
    }
    Some(valid)
}

fn leaf(scene: &Scene, secret: &Secret, bundle: Option<&[Certificate]>, report: &mut Report) {
    let pem = secret.data.as_ref().and_then(|data| data.get("tls.crt"));
    let name = secret.metadata.name();
    let leaf = pem.and_then(|pem| Certificate::bundle_from_pem(&pem.0).ok());
    let Some([leaf, chain @ ..]) = leaf.as_deref() else {
        report.problem(
            TOPIC,
            format!(
                "Secret {}/{name} has no certificate in tls.crt",
                scene.namespace
            ),
            "delete it, so that its owner creates a new one",
        );
        return;
    };
    times(scene, leaf, report);
    let expected = format!("{}.{}.svc", scene.service_name, scene.namespace);
    let is_named = leaf.names.contain(&Names::from_iter([expected.as_str()]));
    if !is_named {
        report.problem(
            TOPIC,
            format!(
                "the serving certificate is not valid for {expected}, the name by which the host calls the server"
            ),
            "add this DNS name to it",
        );
    }
    let Some(bundle) = bundle else {
        return;
    };
    if is_vouched_for(leaf, chain, bundle) {
        report.ok(TOPIC, "a CA in the caBundle issued the serving certificate");
    } else {
        report.problem(
            TOPIC,
            format!("no CA in the caBundle issued the serving certificate, whose issuer is {}", leaf.issuer),
            "add its CA to the caBundle; a server that creates its own certificate does so if it may patch the APIService",
        );
    }
}

fn times(scene: &Scene, leaf: &Certificate, report: &mut Report) {
    let validity = leaf.validity;
    let (from, until) = (validity.not_before, validity.not_after);
    if from > scene.now {
        report.problem(
            TOPIC,
            format!("the serving certificate is not valid until {from}, which is in the future for the host"),
            "synchronize the clocks of all nodes with NTP",
        );
    } else if validity.left(scene.now) <= SignedDuration::ZERO {
        report.problem(
            TOPIC,
            format!("the serving certificate expired at {until}"),
            "check the log of the server, or of the issuer of the certificate, for why it was not renewed",
        );
    } else if validity.left(scene.now) < SOON {
        report.warning(
            TOPIC,
            format!("the serving certificate expires soon, at {until}, and has not been renewed"),
            "check the log of the server, or of the issuer of the certificate, for why not",
        );
    } else {
        report.ok(
            TOPIC,
            format!("the serving certificate is valid until {until}"),
        );
    }
}

fn is_vouched_for(leaf: &Certificate, chain: &[Certificate], roots: &[Certificate]) -> bool {
    let mut last = leaf;
    let signed = |by: &Certificate, last: &Certificate| last.is_signed_by(by);
    // A chain is in order (RFC 8446, section 4.4.2), so a single pass finds its end.
    for next in chain.iter().map(Some).chain([None]) {
        if roots.iter().any(|root| root == last || signed(root, last)) {
            return true;
        }
        match next {
            Some(next) if signed(next, last) => last = next,
            _ => return false,
        }
    }
    false
}

/// Returns the name of the Secret with the serving certificate: the Secret that is mounted at the
/// path of the flag, or the server's own Secret without the flag.
fn secret_name(scene: &Scene) -> Option<String> {
    let Some(file) = scene.flag("tls-cert-file") else {
        return Some(format!("{}-serving", scene.service_name));
    };
    let pod = scene.pod()?;
    let mounts = pod.containers.first()?.volume_mounts.as_deref()?;
    let mount = mounts
        .iter()
        .find(|mount| file.starts_with(&format!("{}/", mount.mount_path)))?;
    let volume = pod
        .volumes
        .as_deref()?
        .iter()
        .find(|volume| volume.name == mount.name)?;
    volume.secret.as_ref()?.secret_name.clone()
}
