//! A serving certificate from files that somebody else replaces: an administrator, or a kubelet that
//! mounts a Secret (A217).
//!
//! The files are read again and again rather than watched: a mounted Secret is exchanged by a link in
//! a folder above, network filesystems tell nothing, and two small files every few seconds cost
//! nothing. Between the writes of the two, and after a bad one, certificate and key do not fit; then
//! what was served before is served on, and the next look finds what is there by then.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};

use super::{CertificateError, ReloadableCertificate};

/// Time between two looks: a new certificate is served within ten seconds (R20).
const POLL: Duration = Duration::from_secs(5);

/// Why files give no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFileError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// What they hold cannot be served.
    #[error("{} and {} cannot be served", certificate.display(), key.display())]
    Content {
        /// The file with the chain.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
        /// Why not.
        #[source]
        source: CertificateError,
    },
}

/// A chain and its key in two files, PEM.
#[derive(Debug)]
pub struct CertificateFiles {
    certificate: PathBuf,
    key: PathBuf,
    served: Arc<ReloadableCertificate>,
    last: Mutex<Look>,
}

/// What the last look has found.
#[derive(Debug)]
struct Look {
    /// Of what the files held, good or bad.
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
    /// Where they give nothing that can be served.
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

    /// What a listener serves: it follows the files while [`Self::follow`] runs.
    #[must_use]
    pub fn certificate(&self) -> Arc<ReloadableCertificate> {
        Arc::clone(&self.served)
    }

    /// Why the files as they are now are not served, in words for an administrator.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.last().trouble.clone()
    }

    /// Follows the files for as long as it is polled.
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
            Some(trouble) => tracing::error!(trouble, "the certificate before it is served on"),
            None => {
                tracing::info!(file = %self.certificate.display(), "another certificate is served");
            }
        }
        *self.last() = Look { digest, trouble };
    }

    fn last(&self) -> MutexGuard<'_, Look> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
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
        // The length keeps what moves from one file to the other apart.
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

/// The whole chain of causes.
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
