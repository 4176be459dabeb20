use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use jiff::{SignedDuration, Timestamp};
use machinery::time::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::fake::Fake;
use crate::plugin::{Output, Plugin, at_a_terminal, finish, token};

const EXCHANGE: &str = "POST /apis/ext.cattle.io/v1/tokens";
const LOOK: &str = "GET /k8s/clusters/c-1/version";

fn age(plugin: &Plugin<'_>) {
    plugin.change("credential-", |cached| {
        cached["checked"] = json!("2020-01-01T00:00:00Z")
    });
}

#[test]
fn fifty_at_once_cost_one_exchange() {
    let fake = Fake::start();
    let plugin = Plugin::logged_in(&fake);
    let all: Vec<_> = (0..50)
        .map(|_| plugin.credential("v1").spawn().unwrap())
        .collect();
    let outputs: Vec<Output> = all.into_iter().map(finish).collect();
    let failed: Vec<_> = outputs.iter().filter(|output| output.code != 0).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let tokens: BTreeSet<String> = outputs.iter().map(token).collect();
    assert_eq!(tokens, BTreeSet::from(["t0ken-1".to_owned()]));
    assert_eq!((fake.asked(EXCHANGE), fake.asked(LOOK)), (1, 0));
}

#[test]
fn the_answer_is_all_that_is_on_stdout() {
    let fake = Fake::start();
    let plugin = Plugin::logged_in(&fake);
    for version in ["v1", "v1beta1"] {
        let output = finish(plugin.credential(version).spawn().unwrap());
        let answer: Value = serde_json::from_str(&output.stdout).unwrap();
        let expected = json!({
            "apiVersion": format!("client.authentication.k8s.io/{version}"),
            "kind": "ExecCredential",
            "status": { "token": "t0ken-1", "expirationTimestamp": end_of(&answer) },
        });
        assert_eq!(
            (output.code, answer, output.stderr),
            (0, expected, String::new())
        );
    }
}

/// Returns the expiry of a credential, which must be in less than an hour.
fn end_of(answer: &Value) -> Timestamp {
    let end = answer["status"]["expirationTimestamp"].as_str().unwrap();
    let end: Timestamp = end.parse().unwrap();
    let left = end.duration_since(SystemClock.now());
    let minutes = SignedDuration::from_mins;
    assert!(minutes(55) < left && left <= minutes(59), "{left}");
    end
}

#[test]
fn a_credential_is_shown_to_the_server_before_it_is_used_again() {
    let fake = Fake::start();
    let plugin = Plugin::logged_in(&fake);
    assert_eq!(plugin.token(), "t0ken-1");
    assert_eq!(plugin.token(), "t0ken-1");
    assert_eq!((fake.asked(EXCHANGE), fake.asked(LOOK)), (1, 0));

    // The token is still valid.
    age(&plugin);
    assert_eq!(plugin.token(), "t0ken-1");
    assert_eq!(plugin.token(), "t0ken-1");
    assert_eq!((fake.asked(EXCHANGE), fake.asked(LOOK)), (1, 1));

    // The token was revoked.
    age(&plugin);
    fake.state().tokens.clear();
    assert_eq!(plugin.token(), "t0ken-2");
    assert_eq!((fake.asked(EXCHANGE), fake.asked(LOOK)), (2, 2));

    // The record was deleted.
    age(&plugin);
    fake.state().tokens.clear();
    fake.state().has_record = false;
    let expected = Output {
        code: 1,
        stdout: String::new(),
        stderr: format!(
            "error: {} refuses a credential for alice: kubeconfigs.ext.cattle.io \"kubeconfig-abcde\" not found\n",
            fake.url()
        ),
    };
    assert_eq!(plugin.credential_output(), expected);
    assert_eq!(
        plugin.files("credential-"),
        Vec::<std::path::PathBuf>::new()
    );

    // The token has expired.
    fake.state().has_record = true;
    assert_eq!(plugin.token(), "t0ken-3");
    plugin.change("credential-", |cached| {
        cached["expires"] = json!("2020-01-01T00:00:00Z")
    });
    assert_eq!(plugin.token(), "t0ken-4");
}

#[test]
fn a_server_that_is_away_does_not_take_credentials_back() {
    let mut fake = Fake::start();
    let home = {
        let plugin = Plugin::logged_in(&fake);
        assert_eq!(plugin.token(), "t0ken-1");
        age(&plugin);
        plugin.into_home()
    };
    fake.stop();
    assert_eq!(Plugin::at_home(&fake, home).token(), "t0ken-1");
}

#[test]
fn without_a_login_it_says_what_to_run() {
    let fake = Fake::start();
    fake.state().has_provider = true;
    let plugin = Plugin::new(&fake);
    let url = fake.url();
    let expected = what_to_run(&fake);
    assert_eq!(plugin.credential_output(), expected);
    assert_eq!(fake.state().asked, Vec::<String>::new());

    // The command may prompt, but there is no terminal.
    let server = format!("--server={url}");
    let flags = [
        "credential",
        &server,
        "--kubeconfig=kubeconfig-abcde",
        "--cluster=c-1",
    ];
    assert_eq!(plugin.run(&flags), expected);
}

fn what_to_run(fake: &Fake) -> Output {
    let url = fake.url();
    Output {
        code: 1,
        stdout: String::new(),
        stderr: format!(
            "error: you are not logged in at {url}; run:\n\n    kubectl kubeconfig login --server={url}\n\n"
        ),
    }
}

#[test]
fn a_user_at_a_terminal_who_shall_not_be_asked_is_told_what_to_run() {
    let fake = Fake::start();
    let plugin = Plugin::new(&fake);
    let mut by_flag = plugin.credential_for(&plugin.exec_info("v1", true));
    by_flag.arg("--non-interactive");
    for command in [plugin.credential("v1"), by_flag] {
        let (mut command, _terminal) = at_a_terminal(command);
        assert_eq!(finish(command.spawn().unwrap()), what_to_run(&fake));
    }
    assert_eq!(fake.state().asked, Vec::<String>::new());
}

#[test]
fn flags_are_enough_where_the_file_tells_nothing() {
    let fake = Fake::start();
    let plugin = Plugin::logged_in(&fake);
    let server = format!("--server={}", fake.url());
    let output = plugin.run(&[
        "credential",
        &server,
        "--kubeconfig=kubeconfig-abcde",
        "--cluster=c-1",
    ]);
    assert_eq!(
        (output.code, token(&output)),
        (0, "t0ken-1".to_owned()),
        "{}",
        output.stderr
    );
}

#[test]
fn a_folder_that_others_may_write_is_not_used() {
    let fake = Fake::start();
    let plugin = Plugin::logged_in(&fake);
    fs::set_permissions(plugin.folder(), Permissions::from_mode(0o777)).unwrap();
    let output = plugin.credential_output();
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    let expected = format!(
        "error: {} is accessible to other users",
        plugin.folder().display()
    );
    assert!(output.stderr.starts_with(&expected), "{}", output.stderr);
    assert_eq!(fake.asked(EXCHANGE), 0);
}
