//! What users do with a standalone server, through the host: the same transcripts.

use std::path::Path;

use e2e::{Host, transcript};

const FILES: [&str; 8] = [
    "user_documentation",
    "use_and_revoke",
    "change",
    "select",
    "watch_and_wait",
    "refuse",
    "access",
    "administer",
];

#[test]
fn transcripts_with_records_in_the_host() {
    let host = Host::start().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let mut failures = Vec::new();
    for name in FILES {
        let file = folder.join(format!("{name}.console"));
        if let Err(difference) = transcript::check(&file, &host.shell().unwrap()) {
            failures.push(format!("{difference:#}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
