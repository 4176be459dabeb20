//! The commands for users in docs/plugin.md and the README, run exactly as documented.

use std::path::Path;
use std::thread;

use e2e::{Shell, poll, transcript};

use super::{LIMIT, Story};

/// The expected output of the commands.
const FILE: &str = "tests/all/real_clusters/plugin/documented.console";

const DOCS: &str = include_str!("../../../../../docs/plugin.md");
const README: &str = include_str!("../../../../../README.md");

impl Story {
    /// Runs the commands as a user without any files, on a machine that trusts the server.
    #[track_caller]
    pub(super) fn what_is_documented_works(&self) {
        let data = self.fleet.server.data_dir();
        let url = self.fleet.server.url().unwrap();
        let shell = Shell::new().unwrap().with_kubectl(&data).unwrap();
        let shell = shell.with_plugin().unwrap();
        let authority = data.join("ca.crt").display().to_string();
        let shell = shell
            .with_environment("SSL_CERT_FILE", &authority)
            .with_environment("HOST", &url.replace("https://", ""));
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
        let checked = thread::scope(|scope| {
            let browser = scope.spawn(|| {
                let address = poll::until("the browser", LIMIT, || shell.take_opened())?;
                self.provider.browse(&address, "alice")
            });
            let checked = transcript::check(&file, &shell);
            browser.join().unwrap().unwrap();
            checked
        });
        if let Err(difference) = checked {
            panic!("{difference:#}");
        }
    }
}

#[test]
fn what_is_documented_is_typed() {
    let typed = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE)).unwrap();
    let lines = DOCS.lines().chain(README.lines());
    let lines = lines.filter_map(|line| line.strip_prefix("    "));
    let mut found = 0;
    for line in lines.filter(|it| it.contains("kubectl kubeconfig") || DOCS.contains(it)) {
        let line = line.split("  #").next().unwrap_or_default().trim();
        let line = format!("{line}\n").replace("https://HOST", "https://$HOST");
        let line = line.replace("DIR/", "$DATA/");
        let is_typed = ["\n", "\n$ "]
            .iter()
            .any(|it| typed.contains(&format!("{it}{line}")));
        assert!(is_typed, "nobody types {line}");
        found += 1;
    }
    assert!(found > 8);
}
