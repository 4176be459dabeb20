//! A real OpenID Connect provider with test users, and the actions of a browser there.

mod browser;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use api::plugin::login_binding::{HEADER, LoginBinding};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use test_cluster::{free_port, tools};

use crate::http::{Answer, Client, Request, encode, expect};
use crate::poll;

/// The id of the only client.
pub const CLIENT: &str = "kubectl";

/// The claim of the group of a user. The provider has no groups, so it is the given name.
pub const GROUP_CLAIM: &str = "given_name";

/// The password of every user.
pub const PASSWORD: &str = "verysecure";

/// Time limit of a start, on a machine that runs all other tests as well.
const LIMIT: Duration = Duration::from_secs(60);

/// The redirect URI. Its port does not listen.
const REDIRECT: &str = "http://127.0.0.1:1/callback";

/// A PKCE pair (RFC 7636, appendix B).
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// An ID token that is bound to a server.
#[derive(Clone, Debug)]
pub struct BoundToken {
    /// The bearer token.
    pub token: String,
    /// The value of the header [`HEADER`].
    pub binding: String,
}

impl BoundToken {
    /// Returns the client with this token as its credential.
    pub fn of(&self, client: &Client) -> Client {
        let client = client.with_token(&self.token);
        client.with_header(HEADER, &self.binding)
    }
}

/// A running provider; killed when dropped.
#[derive(Debug)]
pub struct OidcProvider {
    folder: TempDir,
    port: u16,
    /// The secret of the client; empty for a public client.
    secret: &'static str,
    child: Option<Child>,
}

impl OidcProvider {
    /// Starts a provider of users with these ids, which are the `sub` of their tokens and their
    /// user names. The first use on a machine builds the program.
    ///
    /// # Errors
    /// Fails if the program cannot be built or started.
    pub fn start(users: &[&str]) -> anyhow::Result<Self> {
        Self::start_with_secret(users, "")
    }

    /// Starts a provider whose client must authenticate with this secret.
    ///
    /// # Errors
    /// Fails if the program cannot be built or started.
    pub fn start_with_secret(users: &[&str], secret: &'static str) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("oidc-provider-")?;
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text);
        let (ca, certificate, key) = certificate()?;
        write("ca.crt", &ca)?;
        write("tls.crt", &certificate)?;
        write("tls.key", &key)?;
        let user = |id: &&str| {
            let user = json!({
                "ID": id, "Username": id, "Password": PASSWORD,
                "Email": format!("{id}@example.com"), "EmailVerified": true,
            });
            ((*id).to_owned(), user)
        };
        let users: serde_json::Map<_, _> = users.iter().map(user).collect();
        write("users.json", &Value::from(users).to_string())?;
        let mut provider = Self {
            folder,
            port: free_port()?,
            secret,
            child: None,
        };
        provider.resume()?;
        Ok(provider)
    }

    /// Sets the group of a user, which is the claim [`GROUP_CLAIM`] of the tokens that are issued
    /// from then on; empty for no group. Restarts the provider, with new keys.
    ///
    /// # Errors
    /// Fails if there is no such user, or if the provider does not answer.
    pub fn set_group(&mut self, user: &str, group: &str) -> anyhow::Result<()> {
        let path = self.folder.path().join("users.json");
        let mut users: Value = serde_json::from_slice(&fs::read(&path)?)?;
        let user = users.get_mut(user).context("no such user")?;
        user["FirstName"] = group.into();
        fs::write(&path, users.to_string())?;
        self.stop()?;
        self.resume()
    }

    /// Returns the `iss` of its tokens.
    pub fn issuer(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Returns the path of its CA certificate, PEM.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// Kills the provider, so that its port does not listen.
    ///
    /// # Errors
    /// Fails if it has ended by itself.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().context("it does not run")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Starts the provider again, with new keys.
    ///
    /// # Errors
    /// Fails if it does not answer.
    pub fn resume(&mut self) -> anyhow::Result<()> {
        let file = |name: &str| self.folder.path().join(name);
        let log = File::options()
            .create(true)
            .append(true)
            .open(file("provider.log"))?;
        let child = Command::new(tools::path("oidc-provider")?)
            .arg(format!("--listen=127.0.0.1:{}", self.port))
            .args(["--client", CLIENT, "--secret", self.secret])
            .arg("--cert")
            .arg(file("tls.crt"))
            .arg("--key")
            .arg(file("tls.key"))
            .arg("--users")
            .arg(file("users.json"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        let client = self.client()?;
        poll::until("the provider answers", LIMIT, || {
            let answer = client.get("/.well-known/openid-configuration");
            Ok(answer.ok().filter(|answer| answer.status == 200))
        })?;
        Ok(())
    }

    /// Returns an ID token of a user that is not bound to a server: performs the login with
    /// password and PKCE, like a browser and a client.
    ///
    /// # Errors
    /// Fails if the provider rejects the login.
    pub fn id_token(&self, user: &str) -> anyhow::Result<String> {
        self.id_token_with(user, "n")
    }

    /// Returns an ID token of a user that is bound to the server at this URL, as the plugin gets
    /// it, and the header that accompanies it.
    ///
    /// # Errors
    /// Fails if the provider rejects the login.
    pub fn bound_id_token(&self, user: &str, server: &str) -> anyhow::Result<BoundToken> {
        let mut random = [0; 32];
        aws_lc_rs::rand::fill(&mut random)?;
        let binding = LoginBinding::new(random);
        Ok(BoundToken {
            token: self.id_token_with(user, &binding.nonce(&server.parse()?))?,
            binding: binding.encode(),
        })
    }

    fn id_token_with(&self, user: &str, nonce: &str) -> anyhow::Result<String> {
        let nonce = encode(nonce);
        let asked = format!(
            "/auth?client_id={CLIENT}&response_type=code&scope=openid%20email%20profile&state=s&nonce={nonce}\
             &redirect_uri={}&code_challenge={CHALLENGE}&code_challenge_method=S256",
            encode(REDIRECT)
        );
        let sent = self.log_in(&asked, user)?;
        let code = sent
            .split(['?', '&'])
            .find_map(|part| part.strip_prefix("code="));
        let form = format!(
            "grant_type=authorization_code&client_id={CLIENT}&code={}&redirect_uri={}&code_verifier={VERIFIER}",
            code.context("no code")?,
            encode(REDIRECT)
        );
        let tokens = expect(self.client()?.send(&post("/oauth/token", form))?, 200)?.json()?;
        let token = tokens["id_token"].as_str().context("no ID token")?;
        Ok(token.to_owned())
    }

    fn client(&self) -> anyhow::Result<Client> {
        let ca = STANDARD.encode(fs::read(self.ca_file())?);
        let kubeconfig = json!({
            "current-context": "x",
            "contexts": [{ "name": "x", "context": { "cluster": "x", "user": "x" } }],
            "clusters": [{
                "name": "x",
                "cluster": { "server": self.issuer(), "certificate-authority-data": ca },
            }],
            "users": [{ "name": "x", "user": {} }],
        });
        Client::from_kubeconfig(&kubeconfig.to_string())
    }
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.stop();
    }
}

fn post(path: &str, form: String) -> Request {
    Request::new("POST", path).body("application/x-www-form-urlencoded", form)
}

/// Returns the redirect target of an answer.
fn location(answer: &Answer) -> anyhow::Result<String> {
    ensure!(answer.status == 302, "not sent on: {}", answer.text());
    let location = answer.header("location").context("no Location")?;
    Ok(location.to_owned())
}

/// Returns a CA certificate, and the certificate and key of a server on this machine, PEM.
fn certificate() -> anyhow::Result<(String, String, String)> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&key)?.pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate()?;
    let server = CertificateParams::new(["127.0.0.1".to_owned()])?;
    let certificate = server.signed_by(&key, &issuer)?.pem();
    Ok((ca, certificate, key.serialize_pem()))
}
