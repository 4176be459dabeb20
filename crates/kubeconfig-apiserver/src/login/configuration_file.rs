//! The file of `--authentication-config`, which is read again at intervals.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use oidc::{AuthenticationConfiguration, Config, Issuers, Surroundings};

/// The interval at which the file is read.
const PERIOD: Duration = Duration::from_secs(5);

/// Maximum size of the file, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// A file with the issuers of logins.
#[derive(Clone)]
pub(super) struct ConfigurationFile {
    path: PathBuf,
    surroundings: Surroundings,
    /// The content that was read last, valid or not; `None` if the file could not be read.
    last: Option<Vec<u8>>,
}

impl ConfigurationFile {
    pub(super) fn new(path: PathBuf, unbound: Vec<String>, own_issuer: &str) -> Self {
        Self {
            path,
            surroundings: Surroundings {
                unbound,
                disallowed_issuers: vec![own_issuer.to_owned()],
            },
            last: None,
        }
    }

    /// Reads the file for the first time.
    ///
    /// # Errors
    /// The file cannot be read, or is invalid.
    pub(super) fn load(&mut self) -> Result<Vec<Config>> {
        let content = std::fs::read(&self.path);
        let content = content.with_context(|| self.problem("cannot be read"))?;
        let issuers = self.issuers(&content);
        self.last = Some(content);
        issuers
    }

    /// Replaces the issuers when the file changes. An invalid file is logged once, and changes
    /// nothing.
    pub(super) async fn follow(mut self, issuers: Arc<Issuers>) {
        loop {
            tokio::time::sleep(PERIOD).await;
            self.look(&issuers).await;
        }
    }

    async fn look(&mut self, issuers: &Issuers) {
        let content = tokio::fs::read(&self.path).await;
        let content = content.with_context(|| self.problem("cannot be read"));
        let newest = content.as_ref().ok().cloned();
        let is_known = newest == self.last;
        self.last = newest;
        if is_known {
            return;
        }
        let replaced = content.and_then(|content| {
            let configs = self.issuers(&content)?;
            Ok(issuers.replace(configs)?)
        });
        match replaced {
            Ok(()) => {
                tracing::info!(file = %self.path.display(), "reloaded the authentication configuration")
            }
            Err(error) => {
                let error = &*error;
                tracing::error!(
                    error,
                    "the new authentication configuration cannot be used; the previous one remains in use"
                );
            }
        }
    }

    fn issuers(&self, content: &[u8]) -> Result<Vec<Config>> {
        ensure!(
            content.len() <= MAX_BYTES,
            self.problem("is larger than 1 MiB")
        );
        let text = std::str::from_utf8(content);
        let text = text.with_context(|| self.problem("is not UTF-8"))?;
        let configuration = AuthenticationConfiguration::parse(text, &self.surroundings);
        let configuration = configuration.with_context(|| self.problem("is invalid"))?;
        Ok(configuration.into_issuers())
    }

    fn problem(&self, what: &str) -> String {
        format!("--authentication-config {} {what}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use oidc::Network;
    use tempfile::TempDir;

    use super::*;

    const OWN: &str = "https://kubeconfigs.example.com";

    fn content(url: &str) -> String {
        format!(
            "{{apiVersion: apiserver.config.k8s.io/v1, kind: AuthenticationConfiguration, jwt: [{{\
             issuer: {{url: \"{url}\", audiences: [a]}}, \
             claimMappings: {{username: {{claim: sub, prefix: \"\"}}}}}}]}}"
        )
    }

    fn urls(issuers: &Issuers) -> Vec<String> {
        let configs = issuers.configs();
        configs
            .iter()
            .map(|config| config.issuer().to_owned())
            .collect()
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_used_changes_nothing() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, content("https://a")).unwrap();
        let mut file = ConfigurationFile::new(path.clone(), Vec::new(), OWN);
        let issuers = Issuers::new(file.load().unwrap(), Network::default()).unwrap();
        for unusable in [
            "jwt: [",
            "",
            &content("http://a"),
            &content(OWN),
            &format!(
                "{}\n{}",
                content("https://c"),
                "# long\n".repeat(MAX_BYTES / 7)
            ),
        ] {
            std::fs::write(&path, unusable).unwrap();
            file.look(&issuers).await;
            assert_eq!(urls(&issuers), ["https://a"]);
        }
        std::fs::remove_file(&path).unwrap();
        file.look(&issuers).await;
        assert_eq!(urls(&issuers), ["https://a"]);
        std::fs::write(&path, content("https://b")).unwrap();
        file.look(&issuers).await;
        assert_eq!(urls(&issuers), ["https://b"]);
    }

    #[test]
    fn a_start_with_an_unusable_file_names_the_file() {
        let path = PathBuf::from("/nonexistent/file");
        let mut file = ConfigurationFile::new(path, Vec::new(), OWN);
        let error = file.load().unwrap_err().to_string();
        assert_eq!(
            error,
            "--authentication-config /nonexistent/file cannot be read"
        );
    }
}
