use std::fs;
use std::os::unix::fs::symlink;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;

use super::*;

struct Pair {
    certificate: String,
    key: String,
}

fn pair() -> Pair {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    Pair {
        certificate: params.self_signed(&key).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

/// A Secret as a kubelet mounts it: `tls.crt` and `tls.key` are symlinks through `..data` to a
/// directory for each version.
struct Mount(TempDir);

impl Mount {
    fn new(pair: &Pair) -> Self {
        let mount = Self(TempDir::new().unwrap());
        mount.exchange("first", &pair.certificate, &pair.key);
        for name in ["tls.crt", "tls.key"] {
            let to = Path::new("..data").join(name);
            symlink(to, mount.path(name)).unwrap();
        }
        mount
    }

    fn exchange(&self, version: &str, certificate: &str, key: &str) {
        fs::create_dir(self.path(version)).unwrap();
        fs::write(self.path(version).join("tls.crt"), certificate).unwrap();
        fs::write(self.path(version).join("tls.key"), key).unwrap();
        symlink(version, self.path("..new")).unwrap();
        fs::rename(self.path("..new"), self.path("..data")).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    async fn load(&self) -> CertificateFiles {
        let files = CertificateFiles::load(self.path("tls.crt"), self.path("tls.key"));
        files.await.unwrap()
    }
}

#[track_caller]
fn check_served(files: &CertificateFiles, expected: &Pair) {
    let served = files.certificate().current();
    let expected = CertificateDer::from_pem_slice(expected.certificate.as_bytes()).unwrap();
    assert_eq!(served.cert, [expected]);
}

#[tokio::test(start_paused = true)]
async fn an_exchange_is_served_within_ten_seconds() {
    let (old, new) = (pair(), pair());
    let mount = Mount::new(&old);
    let files = mount.load().await;
    check_served(&files, &old);
    mount.exchange("second", &new.certificate, &new.key);
    let ten_seconds = tokio::time::sleep(Duration::from_secs(10));
    tokio::select! {
        () = ten_seconds => {}
        () = files.follow() => {}
    }
    check_served(&files, &new);
}

#[tokio::test]
async fn what_cannot_be_served_leaves_the_old_until_it_is_good() {
    let (old, new) = (pair(), pair());
    let mount = Mount::new(&old);
    let files = mount.load().await;
    let half = &new.certificate[..new.certificate.len() / 2];
    let (certificate, key) = (mount.path("tls.crt"), mount.path("tls.key"));
    let unusable = |why: &str| {
        let (certificate, key) = (certificate.display(), key.display());
        format!("{certificate} and {key} cannot be used as the serving certificate: {why}")
    };
    for (version, certificate, key, why) in [
        (
            "mixed",
            new.certificate.as_str(),
            old.key.as_str(),
            "certificate and key cannot be used: keys may not be consistent: KeyMismatch",
        ),
        (
            "half",
            half,
            &new.key,
            "not a PEM file with a certificate or a key: ",
        ),
        (
            "empty",
            "",
            &new.key,
            "certificate and key cannot be used: ",
        ),
        (
            "no key",
            &new.certificate,
            "",
            "not a PEM file with a certificate or a key: ",
        ),
        ("swapped", &new.key, &new.certificate, "not a PEM"),
    ] {
        mount.exchange(version, certificate, key);
        files.look().await;
        check_served(&files, &old);
        let trouble = files.trouble().unwrap();
        assert!(trouble.starts_with(&unusable(why)), "{version}: {trouble}");
    }
    fs::remove_file(mount.path("..data")).unwrap();
    files.look().await;
    check_served(&files, &old);
    let trouble = files.trouble().unwrap();
    assert!(trouble.starts_with(&format!(
        "cannot read {}: No such file",
        certificate.display()
    )));

    mount.exchange("good", &new.certificate, &new.key);
    files.look().await;
    check_served(&files, &new);
    assert_eq!(files.trouble(), None);
}

#[tokio::test]
async fn a_start_without_good_files_is_refused() {
    let (one, other) = (pair(), pair());
    let mount = Mount::new(&Pair {
        key: other.key,
        ..one
    });
    let load = |name: &str| CertificateFiles::load(mount.path(name), mount.path("tls.key"));
    let error = load("tls.crt").await.unwrap_err();
    assert!(matches!(error, CertificateFileError::Content { .. }));
    let error = load("missing.crt").await.unwrap_err();
    assert!(matches!(error, CertificateFileError::Read { .. }));
}
