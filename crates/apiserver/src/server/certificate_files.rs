//! A serving certificate in files that an administrator, or a kubelet that mounts a Secret,
//! replaces.
//!
//! The files are polled, not watched: a kubelet replaces a mounted Secret by changing a symlink in
//! a parent directory, network file systems send no notifications, and reading two small files
//! every few seconds costs little. Certificate and key may not match between the two writes, or
//! after a bad write. In that case the previous certificate stays in use, and the next poll reads
//! the files again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use parking_lot::{Mutex, MutexGuard};

use super::{CertificateError, ReloadableCertificate};

/// The poll interval. A new certificate must be served within ten seconds.
const POLL: Duration = Duration::from_secs(5);

/// An error while loading a certificate from files.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFileError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The content of the files cannot be served.
    #[error("{} and {} cannot be used as the serving certificate", certificate.display(), key.display())]
    Content {
        /// The file with the certificate chain.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
        /// The cause.
        #[source]
        source: CertificateError,
    },
}

/// A certificate chain and its key, in two PEM files.
#[derive(Debug)]
pub struct CertificateFiles {
    certificate: PathBuf,
    key: PathBuf,
    served: Arc<ReloadableCertificate>,
    last: Mutex<Look>,
}

/// The result of the last poll.
#[derive(Debug)]
struct Look {
    /// The digest of the files, whether or not they could be served; `None` if they could not be
    /// read.
    digest: Option<Vec<u8>>,
    trouble: Option<String>,
}

struct Content {
    chain: Vec<u8>,
    key: Vec<u8>,
}

impl CertificateFiles {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// The files cannot be read or served.
    pub async fn load(certificate: PathBuf, key: PathBuf) -> Result<Self, CertificateFileError> {
        let content = Content::read(&certificate, &key).await?;
        let served = ReloadableCertificate::load(&content.chain, &content.key);
        let served = served.map_err(|source| unusable(&certificate, &key, source))?;
        let last = Look {
            digest: Some(content.digest()),
            trouble: None,
        };
        Ok(Self {
            certificate,
            key,
            served,
            last: Mutex::new(last),
        })
    }

    /// Returns the certificate for a listener. It follows the files while [`Self::follow`] runs.
    #[must_use]
    pub fn certificate(&self) -> Arc<ReloadableCertificate> {
        Arc::clone(&self.served)
    }

    /// Returns the reason why the current files are not served, as text for an administrator;
    /// `None` if they are served.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.last().trouble.clone()
    }

    /// Follows the files for as long as the future is polled.
    pub async fn follow(&self) {
        loop {
            tokio::time::sleep(POLL).await;
            self.look().await;
        }
    }

    async fn look(&self) {
        let content = Content::read(&self.certificate, &self.key).await;
        let digest = content.as_ref().ok().map(Content::digest);
        if digest.is_some() && digest == self.last().digest {
            return;
        }
        let replaced = content.and_then(|content| {
            let replaced = self.served.replace(&content.chain, &content.key);
            replaced.map_err(|source| unusable(&self.certificate, &self.key, source))
        });
        let trouble = replaced.err().map(|error| told(&error));
        match &trouble {
            Some(trouble) => tracing::error!(
                trouble,
                "the new serving certificate cannot be used; the previous one remains in use"
            ),
            None => {
                tracing::info!(file = %self.certificate.display(), "a new serving certificate is in use");
            }
        }
        *self.last() = Look { digest, trouble };
    }

    fn last(&self) -> MutexGuard<'_, Look> {
        self.last.lock()
    }
}

impl Content {
    async fn read(certificate: &Path, key: &Path) -> Result<Self, CertificateFileError> {
        Ok(Self {
            chain: read(certificate).await?,
            key: read(key).await?,
        })
    }

    fn digest(&self) -> Vec<u8> {
        let mut context = Context::new(&SHA256);
        // The length prefix distinguishes bytes that move from one file to the other.
        context.update(&self.chain.len().to_le_bytes());
        context.update(&self.chain);
        context.update(&self.key);
        context.finish().as_ref().to_vec()
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, CertificateFileError> {
    let read = tokio::fs::read(path).await;
    read.map_err(|source| CertificateFileError::Read {
        path: path.to_owned(),
        source,
    })
}

fn unusable(certificate: &Path, key: &Path, source: CertificateError) -> CertificateFileError {
    CertificateFileError::Content {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    }
}

/// Formats an error with all its causes.
fn told(error: &CertificateFileError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
