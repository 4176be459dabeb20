//! The text of the file: a heading of comments, then the `v1` `Config` of client-go's clientcmd
//! API, as shown by the literals below.
//!
//! Text from other sources is written as double-quoted scalars, see [`super::quoted`].

use api::plugin::{
    EXEC_EXTENSION, ExecClusterConfig, FILE_HEADING, FILE_NAME, INSTALL_HINT, OidcLogin,
};
use machinery::time::rfc3339;
use signing::secret::SecretString;

use super::Record;
use super::entries::{Credential, Entries, Target, User};
use super::exec::{COMMAND, Exec};
use super::quoted::{push_comment, push_quoted, room_of};

/// The form in which Go prints `time.Time{}`: the creation time of an object that was not created.
const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// Upper bounds for the heading, for the keys and the indentation of one entry, and for the
/// indentation of one item of a list in it, in bytes.
const HEADING_BYTES: usize = 512;
const ENTRY_BYTES: usize = 512;
const ITEM_BYTES: usize = 16;

/// Writes the file, in a single allocation.
pub(super) fn write(record: &Record<'_>, entries: &Entries<'_>) -> SecretString {
    let room = room(record, entries);
    let mut file = File(String::with_capacity(room));
    file.heading(record);
    file.line("apiVersion: v1");
    file.line("kind: Config");
    file.each("clusters:", &entries.targets, File::cluster);
    file.each("users:", &entries.users, File::user);
    file.each("contexts:", &entries.targets, |file, target| {
        file.context(target, entries.namespace);
    });
    file.text("current-context: ", &entries.current_context);
    debug_assert!(
        file.0.len() <= room,
        "a buffer that grows leaves secrets behind"
    );
    SecretString::new(file.0)
}

/// Returns an upper bound for the length of the text, in bytes.
fn room(record: &Record<'_>, entries: &Entries<'_>) -> usize {
    let targets = entries.targets.iter().map(|target| {
        let names = 3 * room_of(&target.name) + room_of(&target.user) + room_of(entries.namespace);
        let values = room_of(&target.server) + room_of(&target.ca_data);
        let extension = target.exec.as_ref().map_or(0, room_of_extension);
        ENTRY_BYTES + names + values + extension
    });
    let users = entries.users.iter().map(|user| {
        let credential = match &user.credential {
            Credential::Token(token) => room_of(token.expose()),
            Credential::Exec(exec) => ENTRY_BYTES + room_of_items(&exec.args),
        };
        ENTRY_BYTES + room_of(&user.name) + credential
    });
    let named = room_of(record.name) + room_of(&entries.current_context);
    HEADING_BYTES + named + targets.chain(users).sum::<usize>()
}

fn room_of_extension(config: &ExecClusterConfig) -> usize {
    let server = room_of(&config.server) + room_of(&config.certificate_authority_data);
    let names = [&config.kubeconfig, &config.cluster, &config.audience];
    let provider = config.oidc.as_ref().map_or(0, |provider| {
        let values = room_of(&provider.issuer) + room_of(&provider.client_id);
        let authorities = room_of(&provider.certificate_authority_data);
        values + authorities + room_of_items(&provider.scopes)
    });
    server + names.map(|name| room_of(name)).iter().sum::<usize>() + provider
}

fn room_of_items(items: &[String]) -> usize {
    items.iter().map(|item| ITEM_BYTES + room_of(item)).sum()
}

/// A file under construction.
struct File(String);

impl File {
    fn heading(&mut self, record: &Record<'_>) {
        self.line(FILE_HEADING);
        self.0.push_str(FILE_NAME);
        push_comment(&mut self.0, record.name);
        let created = match record.created {
            Some(created) => rfc3339(created),
            None => ZERO_TIME.to_owned(),
        };
        self.line(&format!("# createdTimestamp: {created}"));
        self.line(&format!("# ttl: {}", record.ttl_secs));
    }

    fn cluster(&mut self, target: &Target) {
        self.text("- name: ", &target.name);
        self.line("  cluster:");
        self.text("    server: ", &target.server);
        self.text_if_any("    certificate-authority-data: ", &target.ca_data);
        if let Some(config) = &target.exec {
            self.line("    extensions:");
            self.text("    - name: ", EXEC_EXTENSION);
            self.line("      extension:");
            self.extension(config);
        }
    }

    fn extension(&mut self, config: &ExecClusterConfig) {
        let authorities = &config.certificate_authority_data;
        self.text("        server: ", &config.server);
        self.text_if_any("        certificateAuthorityData: ", authorities);
        self.text("        kubeconfig: ", &config.kubeconfig);
        self.text("        cluster: ", &config.cluster);
        self.text("        audience: ", &config.audience);
        if let Some(provider) = &config.oidc {
            self.line("        oidc:");
            self.provider(provider);
        }
    }

    fn provider(&mut self, provider: &OidcLogin) {
        let authorities = &provider.certificate_authority_data;
        self.text("          issuer: ", &provider.issuer);
        self.text("          clientID: ", &provider.client_id);
        self.each("          scopes:", &provider.scopes, |file, scope| {
            file.text("          - ", scope);
        });
        self.text_if_any("          certificateAuthorityData: ", authorities);
    }

    fn user(&mut self, user: &User<'_>) {
        self.text("- name: ", &user.name);
        self.line("  user:");
        match &user.credential {
            Credential::Token(token) => self.text("    token: ", token.expose()),
            Credential::Exec(exec) => {
                self.line("    exec:");
                self.exec(exec);
            }
        }
    }

    fn exec(&mut self, exec: &Exec) {
        self.line(&format!("      apiVersion: {}", exec.api_version));
        self.line(&format!("      command: {COMMAND}"));
        self.each("      args:", &exec.args, |file, argument| {
            file.text("      - ", argument);
        });
        self.text("      installHint: ", INSTALL_HINT);
        self.line("      interactiveMode: IfAvailable");
        self.line("      provideClusterInfo: true");
    }

    fn context(&mut self, target: &Target, namespace: &str) {
        self.text("- name: ", &target.name);
        self.line("  context:");
        self.text("    cluster: ", &target.name);
        self.text_if_any("    namespace: ", namespace);
        self.text("    user: ", &target.user);
    }

    /// Writes a line that contains no text from other sources.
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    /// Writes a line that ends with arbitrary text.
    fn text(&mut self, key: &str, value: &str) {
        self.0.push_str(key);
        push_quoted(&mut self.0, value);
        self.0.push('\n');
    }

    /// Writes a line like [`File::text`], unless the text is empty.
    fn text_if_any(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.text(key, value);
        }
    }

    /// Writes a list. `write` writes each item.
    fn each<T>(&mut self, key: &str, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.0.push_str(key);
        self.line(if items.is_empty() { " []" } else { "" });
        for item in items {
            write(self, item);
        }
    }
}
