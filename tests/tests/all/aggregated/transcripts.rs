//! The transcripts of a standalone server, replayed through the host: by users with certificates
//! and by users of an OIDC issuer. ServiceAccounts are not users, and have a story of their own.

use std::path::Path;

use e2e::{Host, HostOptions, OidcProvider, transcript};
use test_cluster::EtcdCluster;

use super::{downloads, logins, service_accounts};

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
fn with_records_in_the_host_and_users_by_certificate_and_account() {
    let provider = OidcProvider::start(&["alice"]).unwrap();
    let options = HostOptions::default().with_logins(&provider).unwrap();
    let host = Host::start_with(&options).unwrap();
    replay_all(&host);
    logins::open_files_without_tokens(&host, &provider);
    downloads::are_for_who_may(&host, &provider);
    service_accounts::look_after_kubeconfigs(&host);
}

#[test]
fn with_records_in_etcd_and_users_by_oidc() {
    let etcd = EtcdCluster::start(1, &[]).unwrap();
    let options = HostOptions {
        oidc: true,
        ..HostOptions::in_etcd(&etcd).unwrap()
    };
    replay_all(&Host::start_with(&options).unwrap());
}

/// Replays the files one after the other, each on a server without records.
#[track_caller]
fn replay_all(host: &Host) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    for name in FILES {
        let file = folder.join(format!("{name}.console"));
        if let Err(difference) = transcript::check(&file, &host.shell().unwrap()) {
            panic!("{difference:#}\n{}", host.logs());
        }
        let admin = host.kubectl("admin").unwrap();
        for kind in ["kubeconfigs.ext.cattle.io", "tokens.ext.cattle.io"] {
            admin.output(&["delete", kind, "--all"]).unwrap();
        }
    }
}

#[test]
fn every_file_is_replayed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let files = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let mut replayed = FILES.map(|name| format!("{name}.console")).to_vec();
    replayed.sort();
    assert_eq!(replayed, names);
}
