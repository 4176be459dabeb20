//! The end of the plugin's credentials: by expiry, by revocation of the owner, with the record.

use std::path::Path;

use e2e::{ClientGo, poll};
use serde_json::json;

use super::{LIMIT, NAMES, Story, change_kept, check, check_quiet, record_of};

impl Story {
    #[track_caller]
    pub(super) fn an_expired_credential_is_exchanged_anew(&self, file: &Path) {
        let before = self.tokens();
        self.set_kept("expires");
        self.check_opens(file);
        // One token for the server and one for the cluster; a certificate has no record.
        assert_eq!(self.tokens(), before + 2);
    }

    /// Sets a time of all cached credentials to the distant past.
    #[track_caller]
    pub(super) fn set_kept(&self, time: &str) {
        change_kept(&self.alice, "credential-", |kept| {
            kept[time] = json!("2020-01-01T00:00:00Z");
        });
    }

    #[track_caller]
    pub(super) fn tokens(&self) -> usize {
        let list = ["get", "tokens", "--output=name"];
        self.alice.output(&list).unwrap().lines().count()
    }

    /// client-go retries after a rejection; within seconds it gets a new token.
    #[track_caller]
    pub(super) fn a_program_survives_the_end_of_a_token(&self, program: &mut ClientGo) {
        assert_eq!(program.list().unwrap()["namespaces"][0], "default");
        self.alice.output(&["delete", "tokens", "--all"]).unwrap();
        assert_eq!(program.list().unwrap(), json!({ "error": "Unauthorized" }));
        poll::until("another token", LIMIT, || {
            let answer = program.list()?;
            Ok((answer["namespaces"][0] == "default").then_some(()))
        })
        .unwrap();
    }

    /// Takes effect at once at the gateway, also for open connections; then the plugin returns no
    /// more credentials.
    #[track_caller]
    pub(super) fn the_end_of_the_record_ends_it(&self, file: &Path, program: &mut ClientGo) {
        let kubectl = self.kubectl(file);
        let watch = [&["--context=prod"], NAMES, &["--watch"]].concat();
        let mut watch = kubectl.start(&watch).unwrap();
        assert_eq!(watch.next_line(LIMIT).unwrap(), "namespace/default");
        let record = record_of(file);
        check_quiet(&self.alice, &["kubeconfig", "delete", &record]);
        watch.wait(LIMIT).unwrap();
        assert_eq!(program.list().unwrap(), json!({ "error": "Unauthorized" }));
        self.set_kept("checked");
        for context in ["--context=prod", "--context=prod-fqdn"] {
            let answer = kubectl.run(&[&[context], NAMES].concat()).unwrap();
            assert_eq!((answer.code, answer.stdout.as_str()), (1, ""));
            let why = format!(
                "refuses a credential for alice: kubeconfigs.ext.cattle.io \"{record}\" not found"
            );
            assert!(answer.stderr.contains(&why), "{}", answer.stderr);
        }
    }

    #[track_caller]
    pub(super) fn what_is_gone_is_pruned(&self, gone: &Path, there: &Path) {
        let mine = self.folder.path().join("mine");
        let flag = format!("--kubeconfig={}", mine.display());
        let [one, other] = [gone, there].map(|path| path.display().to_string());
        check_quiet(&self.alice, &["kubeconfig", "merge", &flag, &one, &other]);
        let kubectl = self.kubectl(&mine);
        let contexts = ["config", "get-contexts", "--output=name"];
        let suffix = record_of(there).replace("kubeconfig-", "");
        let kept = ["prod", "prod-fqdn", "rancher"].map(|name| format!("{name}-{suffix}\n"));
        let all = [
            "prod\n",
            &kept[0],
            "prod-fqdn\n",
            &kept[1],
            "rancher\n",
            &kept[2],
        ];
        check(&kubectl, &contexts, &sorted(&all));
        check_quiet(&self.alice, &["kubeconfig", "prune", &flag]);
        let kept = kept.each_ref().map(String::as_str);
        check(&kubectl, &contexts, &sorted(&kept));
        let context = format!("--context=prod-{suffix}");
        check_quiet(&kubectl, &[&[context.as_str()], NAMES].concat());
    }
}

fn sorted(names: &[&str]) -> String {
    let mut names = names.to_vec();
    names.sort();
    names.concat()
}
