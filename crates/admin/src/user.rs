//! `kubeconfig-apiserver user …`: the users of a running server.
//!
//! Tables and kubeconfigs go to stdout. Explanations go to stderr.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ::management::user::who_logs_in_as;
use anyhow::{Context, Result, bail, ensure};
use api::labels::LAST_LOGIN;
use api::management::{self, Setting, User, setting};
use auth::identity::Part;
use auth::service_account::OWNER_PREFIX;
use auth::user::RESERVED_PREFIX;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certificates::{Authority, Pair, Validity};
use jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use machinery::human_duration::human_duration;
use machinery::time::{Clock, rfc3339};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::args::{AddUserArgs, UserArgs, UserCommand};
use crate::client::{Failed, client, told};
use crate::console::Console;
use crate::table::table;

const HEAD: [&str; 5] = ["NAME", "LOGS IN AS", "ENABLED", "LAST LOGIN", "AGE"];

/// The text of an empty cell.
const NONE: &str = "<none>";

/// The kubeconfig of the administrator in a data folder.
const ADMIN_FILE: &str = "admin.kubeconfig";

/// Loads the CA in the data folder of a standalone server.
pub type LoadAuthority = dyn Fn(&Path) -> Result<Authority>;

/// Runs a command. `load` reads the CA of a data folder.
///
/// # Errors
/// Returns one line that describes the fault and its remedy.
pub async fn run(
    args: &UserArgs,
    console: &Console,
    clock: &dyn Clock,
    load: &LoadAuthority,
) -> Result<()> {
    let authority = match &args.command {
        UserCommand::Add(add) => {
            check_names(add)?;
            ensure!(
                add.group.is_empty() || args.data_dir.is_some(),
                "--group needs --data-dir: groups are in the certificate that its CA issues"
            );
            ensure!(
                add.file == Path::new("-") || args.data_dir.is_some(),
                "--file needs --data-dir: its CA issues the certificate in the file"
            );
            args.data_dir.as_deref().map(load).transpose()?
        }
        _ => None,
    };
    let own = args.data_dir.as_ref().map(|folder| folder.join(ADMIN_FILE));
    let file = args.kubeconfig.as_deref().or(own.as_deref());
    let users = Users {
        client: client(file, args.context.as_deref()).await?,
        console,
    };
    match &args.command {
        UserCommand::Add(add) => users.add(add, authority.as_ref(), clock.now()).await,
        UserCommand::List => users.list(clock.now()).await,
        UserCommand::Disable(user) => users.enable(&user.name, false).await,
        UserCommand::Enable(user) => users.enable(&user.name, true).await,
        UserCommand::Remove(user) => users.remove(&user.name).await,
    }
}

/// Checks the names of a new user, who must be able to log in with them.
fn check_names(add: &AddUserArgs) -> Result<()> {
    let named = std::iter::once((Part::UserName, &add.name));
    for (part, text) in named.chain(add.group.iter().map(|group| (Part::Group, group))) {
        part.check(text)?;
        let is_reserved = [RESERVED_PREFIX, OWNER_PREFIX]
            .iter()
            .any(|prefix| text.starts_with(prefix));
        ensure!(
            !is_reserved,
            "{part} {text:?} must not begin with {RESERVED_PREFIX:?} or {OWNER_PREFIX:?}"
        );
    }
    Ok(())
}

/// The users of a server.
struct Users<'a> {
    client: Client,
    console: &'a Console,
}

impl Users<'_> {
    fn api(&self) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &resource(User::KIND, User::PLURAL))
    }

    /// Returns all users.
    async fn all(&self) -> Result<Vec<User>> {
        match self.api().list(&ListParams::default()).await {
            Ok(list) => list.items.into_iter().map(read).collect(),
            Err(kube::Error::Api(status)) if status.code == 404 => bail!(
                "the server of --kubeconfig or KUBECONFIG is not a kubeconfig-apiserver: it does not serve {}.{}",
                User::PLURAL,
                management::GROUP
            ),
            Err(error) => Err(Failed::of("the kubeconfig-apiserver", error)),
        }
    }

    /// Returns the user who logs in with this name, or whose object has it.
    async fn find(&self, name: &str) -> Result<Option<User>> {
        let mut users = self.all().await?;
        let place = users.iter().position(|user| user.id() == name);
        let place = place.or_else(|| users.iter().position(|user| user.answers_to(name)));
        Ok(place.map(|place| users.swap_remove(place)))
    }

    async fn existing(&self, name: &str) -> Result<User> {
        let user = self.find(name).await?;
        user.with_context(|| format!("there is no user {name:?}; user list shows all"))
    }

    async fn add(
        &self,
        args: &AddUserArgs,
        authority: Option<&Authority>,
        now: Timestamp,
    ) -> Result<()> {
        let name = &args.name;
        let found = self.find(name).await?;
        if let Some(user) = &found {
            ensure!(
                user.is_enabled(),
                "user {name:?} is disabled: run user enable first"
            );
        }
        let file = match authority {
            Some(authority) => Some(self.first_access(args, authority, now).await?),
            None => None,
        };
        // The file is written first, so that no user is added who has no access.
        let written = match &file {
            Some(file) if args.file != Path::new("-") => {
                write_new(&args.file, file)?;
                true
            }
            _ => false,
        };
        match found {
            Some(_) => self.console.say(format_args!("User {name} exists.")),
            None => {
                let created = self.create(&who_logs_in_as(name)).await;
                if created.is_err() && written {
                    // The error of the server is more useful than that of the file.
                    let _ = fs::remove_file(&args.file);
                }
                created?;
                self.console.say(format_args!("User {name} was added."));
            }
        }
        let Some(file) = file else {
            self.console.say(
                "The user needs a login of the server. With --data-dir, this command prints a kubeconfig with a certificate.",
            );
            return Ok(());
        };
        if !written {
            self.console.print(&file)?;
        }
        self.console.say_all([
            format!(
                "The kubeconfig contains a private key. It is valid until {}, and can be stopped earlier only with user disable.",
                rfc3339(now + life(args))
            ),
            "A ClusterGrant or a role decides which clusters the user may use: docs/access.md.".to_owned(),
        ]);
        Ok(())
    }

    /// Returns a kubeconfig with a certificate for the user.
    async fn first_access(
        &self,
        args: &AddUserArgs,
        authority: &Authority,
        now: Timestamp,
    ) -> Result<String> {
        let name = &args.name;
        let groups: Vec<&str> = args.group.iter().map(String::as_str).collect();
        let pair = authority
            .client(name, &groups, Validity::starting(now, life(args)))
            .context("the certificate cannot be created")?;
        let access = FirstAccess {
            server: self.setting(setting::SERVER_URL).await?,
            ca_pem: self.setting(setting::CA_CERTS).await?,
            user: name,
            pair: &pair,
        };
        access.kubeconfig()
    }

    async fn create(&self, user: &User) -> Result<()> {
        let mut object = serde_json::to_value(user)?;
        object["apiVersion"] = format!("{}/{}", management::GROUP, management::VERSION).into();
        object["kind"] = User::KIND.into();
        let object: DynamicObject = serde_json::from_value(object)?;
        let created = self.api().create(&PostParams::default(), &object).await;
        created.map(|_| ()).map_err(told)
    }

    /// Returns the effective value of a setting.
    async fn setting(&self, name: &str) -> Result<String> {
        let kind = resource(Setting::KIND, Setting::PLURAL);
        let settings = Api::<DynamicObject>::all_with(self.client.clone(), &kind);
        let setting: Setting = read(settings.get(name).await.map_err(told)?)?;
        Ok(setting.effective().to_owned())
    }

    async fn list(&self, now: Timestamp) -> Result<()> {
        let users = self.all().await?;
        let rows: Vec<[String; 5]> = users.iter().map(|user| row(user, now)).collect();
        self.console.print(&table(&HEAD, &rows))
    }

    async fn enable(&self, name: &str, enabled: bool) -> Result<()> {
        let user = self.existing(name).await?;
        let patch = Patch::Merge(json!({ "enabled": enabled }));
        let patched = self
            .api()
            .patch(user.id(), &PatchParams::default(), &patch)
            .await;
        patched.map_err(told)?;
        self.console.say(match enabled {
            true => format!("User {} is enabled.", user.id()),
            false => format!(
                "User {} is disabled: all requests are denied, and all tokens are rejected.",
                user.id()
            ),
        });
        Ok(())
    }

    async fn remove(&self, name: &str) -> Result<()> {
        let user = self.existing(name).await?;
        let deleted = self.api().delete(user.id(), &DeleteParams::default()).await;
        deleted.map_err(told)?;
        self.console.say_all([
            format!("User {} was removed. All tokens of the user are rejected.", user.id()),
            "A login creates the user again if the setting user-provisioning is on-login: use user disable to keep the user out."
                .to_owned(),
        ]);
        Ok(())
    }
}

fn resource(kind: &str, plural: &str) -> ApiResource {
    let kind = GroupVersionKind::gvk(management::GROUP, management::VERSION, kind);
    ApiResource::from_gvk_with_plural(&kind, plural)
}

fn read<T: DeserializeOwned>(object: DynamicObject) -> Result<T> {
    let name = object.metadata.name.clone().unwrap_or_default();
    let object = serde_json::to_value(object)?;
    serde_json::from_value(object).with_context(|| format!("the object {name} cannot be read"))
}

fn row(user: &User, now: Timestamp) -> [String; 5] {
    let ago = |then: Timestamp| human_duration(now.as_second() - then.as_second());
    let names = match user.principal_ids.is_empty() {
        true => user.id().to_owned(),
        false => user.principal_ids.join(", "),
    };
    let labels = user.metadata.labels.as_ref();
    let last_login = labels
        .and_then(|labels| labels.get(LAST_LOGIN)?.parse().ok())
        .and_then(|secs| Timestamp::from_second(secs).ok())
        .map(|then| format!("{} ago", ago(then)));
    let created = user.metadata.creation_timestamp.as_ref();
    [
        user.id().to_owned(),
        names,
        user.is_enabled().to_string(),
        last_login.unwrap_or_else(|| NONE.to_owned()),
        created.map_or_else(|| NONE.to_owned(), |created| ago(created.0)),
    ]
}

/// Returns the lifetime of the certificate of a new user.
fn life(args: &AddUserArgs) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(args.valid_days))
}

/// Writes a kubeconfig to a new file that only its owner can read.
fn write_new(path: &Path, kubeconfig: &str) -> Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    file.and_then(|mut file| file.write_all(kubeconfig.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// A kubeconfig with a client certificate for the server, which gives access before any token was
/// issued.
pub struct FirstAccess<'a> {
    /// The URL of the server.
    pub server: String,
    /// The certificate authorities of the server, PEM. Empty for those of the user's machine.
    pub ca_pem: String,
    /// The name of the user.
    pub user: &'a str,
    /// The certificate.
    pub pair: &'a Pair,
}

impl FirstAccess<'_> {
    /// Returns the kubeconfig, as YAML.
    ///
    /// # Errors
    /// The kubeconfig cannot be written as YAML.
    pub fn kubeconfig(&self) -> Result<String> {
        let mut cluster = json!({ "server": self.server });
        if !self.ca_pem.is_empty() {
            cluster["certificate-authority-data"] = encoded(&self.ca_pem);
        }
        let file = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "kubeconfig-apiserver", "cluster": cluster }],
            "users": [{
                "name": self.user,
                "user": {
                    "client-certificate-data": encoded(&self.pair.certificate),
                    "client-key-data": encoded(self.pair.key.expose()),
                },
            }],
            "contexts": [{
                "name": self.user,
                "context": { "cluster": "kubeconfig-apiserver", "user": self.user },
            }],
            "current-context": self.user,
        });
        serde_saphyr::to_string(&file).context("a kubeconfig cannot be written as YAML")
    }
}

fn encoded(text: &str) -> Value {
    STANDARD.encode(text).into()
}
