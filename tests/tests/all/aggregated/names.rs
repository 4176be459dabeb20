//! Names that a hop would change, behind a host: users of the host, whom its front proxy names in
//! headers, and users of a provider at the gateway are not authenticated under such a name. No
//! cluster sees them under a different name.
//!
//! The host's kube-apiserver accepts any name. It forwards requests by HTTP/2, which keeps blanks
//! at the ends of a header value, and upgrades by HTTP/1.1, which does not.

use std::fs;
use std::time::Duration;

use e2e::http::{Client, expect};
use e2e::{Host, HostOptions, OidcProvider, Site, poll};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::real_clusters::fleet::{Fleet, check, check_refused};
use crate::real_clusters::names::{SECRETS, Scene, both};
use crate::record;

/// Time limit for changes of the host's RBAC to take effect, including our cache of its answers.
const LIMIT: Duration = Duration::from_secs(120);

/// The unmanaged name of the cluster `b`, with a hash of its id.
const UNMANAGED: &str = "api.acme-u38m0ppaj9f5.k8s.eu.example.com";

/// The path at which a server returns the user name of the caller.
const REVIEWS: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

/// The users whom the cluster of the scene permits to read Secrets.
const HONEST: [&str; 2] = ["erin", "José"];

/// A user whom every cluster permits to read Secrets.
const MANAGER: &str = "system:kube-controller-manager";

/// Names that become, or resemble, one of these in transit.
const DECEPTIVE: [&str; 8] = [
    " erin",
    "erin ",
    "erin\t",
    "erin\u{2003}",
    "er\u{200b}in",
    " system:kube-controller-manager",
    "System:kube-controller-manager",
    "system\u{ff1a}kube-controller-manager",
];

const DECEPTIVE_GROUPS: [&str; 4] = [
    " system:masters",
    "system:masters\t",
    "system:masters\u{2003}",
    "System:masters",
];

#[test]
fn users_with_names_that_a_hop_would_change_reach_no_cluster() {
    let users = [&HONEST[..], &DECEPTIVE].concat();
    let provider = OidcProvider::start(&users).unwrap();
    let options = HostOptions::default().with_logins(&provider).unwrap();
    let options = options.with_names(UNMANAGED).unwrap();
    let scene = Scene::begin(Fleet::around(Host::start_with(&options).unwrap()));
    scene.by_webhook();
    scene.by_provider();
    // An upgrade request of the front proxy is not authenticated.
    scene.by_certificate([200, 401]);

    let story = Story { scene, provider };
    story.need_no_objects();
    story.honest_names_arrive_as_they_are();
    story.the_host_knows_deceptive_users_and_they_are_nobody_here();
    story.whom_an_administrator_acts_as_is_nobody_either();
    story.deceptive_users_of_a_provider_are_nobody();
    story.a_name_of_the_system_has_no_file();
    story.a_user_of_a_cluster_acts_under_no_such_name();
}

struct Story {
    scene: Scene<Host>,
    provider: OidcProvider,
}

impl Story {
    fn host(&self) -> &Host {
        &self.scene.fleet.server
    }

    /// Permits users without a user object, because the names of these users are not valid object
    /// names.
    fn need_no_objects(&self) {
        let name = "settings.management.cattle.io/kubeconfig-require-user";
        let value = json!({"value": "false"}).to_string();
        let patch = ["patch", name, "--type=merge", "-p", &value];
        self.scene.fleet.admin().output(&patch).unwrap();
        self.scene.fleet.open("b", &HONEST);
    }

    /// Checks users of the front proxy and of the provider.
    fn honest_names_arrive_as_they_are(&self) {
        for user in HONEST {
            let stranger = self.host().stranger(user, None).unwrap();
            for client in [stranger, self.login(user)] {
                let at_cluster = self.at_cluster(&client);
                assert_eq!(at_cluster.name(), user);
                assert_eq!(at_cluster.watch(), [200, 101], "{user}");
            }
        }
    }

    fn the_host_knows_deceptive_users_and_they_are_nobody_here(&self) {
        let by_name = DECEPTIVE.map(|user| (user, None));
        let by_group = DECEPTIVE_GROUPS.map(|group| ("erin", Some(group)));
        for (user, group) in by_name.into_iter().chain(by_group) {
            let stranger = self.host().stranger(user, group).unwrap();
            let known = user_info(&stranger, REVIEWS);
            let mut groups = vec!["system:authenticated"];
            groups.splice(0..0, group);
            assert_eq!(
                (&known["username"], &known["groups"]),
                (&json!(user), &json!(groups))
            );
            let url = self.host().management_url().unwrap();
            assert_eq!(both(&stranger, &url, record::PATH), [401; 2], "{user:?}");
            self.check_nobody(&stranger);
        }
    }

    /// kubectl uses HTTP/2, so that the host receives these names unchanged.
    fn whom_an_administrator_acts_as_is_nobody_either(&self) {
        let admin = self.scene.fleet.admin();
        let list = format!("--raw={}", record::PATH);
        let by_name = DECEPTIVE.map(|user| vec![format!("--as={user}")]);
        let by_group = DECEPTIVE_GROUPS
            .map(|group| vec!["--as=erin".to_owned(), format!("--as-group={group}")]);
        let nobody = "error: You must be logged in to the server (Unauthorized)";
        for acting in by_name.iter().chain(&by_group) {
            let acting: Vec<&str> = acting.iter().map(String::as_str).collect();
            check_refused(&admin, &[&acting[..], &["get", &list]].concat(), nobody);
        }
        for user in DECEPTIVE {
            let acting = format!("--as={user}");
            let name = "-o=jsonpath={.status.userInfo.username}";
            check(&admin, &[&acting, "auth", "whoami", name], user);
        }
    }

    fn deceptive_users_of_a_provider_are_nobody(&self) {
        for user in DECEPTIVE {
            self.check_nobody(&self.login(user));
        }
    }

    /// Checks that a user with such a name, whom the host accepts, gets no file.
    fn a_name_of_the_system_has_no_file(&self) {
        let manager = self.host().stranger(MANAGER, None).unwrap();
        let wanted = record::wanted(json!({ "clusters": ["b"] }));
        let answer = manager.post(record::PATH, &wanted).unwrap();
        let expected = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": format!("kubeconfigs.ext.cattle.io is forbidden: user {MANAGER} is not a Rancher user. Names that begin with system: are never users"),
            "reason": "Forbidden", "code": 403,
            "details": { "group": "ext.cattle.io", "kind": "kubeconfigs" },
        });
        assert_eq!(answer.json().unwrap(), expected);
    }

    /// Sends impersonation headers of a user at the gateway.
    fn a_user_of_a_cluster_acts_under_no_such_name(&self) {
        let erin = self.at_cluster(&self.host().stranger("erin", None).unwrap());
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, &erin.file).unwrap();
        let kubectl = self.scene.fleet.admin().with_kubeconfig(file);
        let blank = "must not begin or end with white space";
        let spelling = "must not be another spelling of a name that begins with \"system:\"";
        for (user, problem) in [
            (" erin", blank),
            ("erin\u{2003}", blank),
            ("er\u{200b}in", "must not contain the character U+200B"),
            (" system:kube-controller-manager", blank),
            ("System:kube-controller-manager", spelling),
        ] {
            let acting = format!("--as={user}");
            let refused = format!(
                "Error from server (BadRequest): the impersonated user name {user:?} {problem}"
            );
            check_refused(
                &kubectl,
                &[&acting, "get", "--raw=/api/v1/secrets"],
                &refused,
            );
        }
    }

    /// Returns a client of a user of the provider at the gateway.
    #[track_caller]
    fn login(&self, user: &str) -> Client {
        let id_token = self.provider.id_token(user).unwrap();
        Site::anonymous(self.host()).unwrap().with_token(&id_token)
    }

    /// Checks that the answer to each request is that for an unknown caller.
    #[track_caller]
    fn check_nobody(&self, client: &Client) {
        let wanted = record::wanted(json!({ "clusters": ["b"] }));
        let expected = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "Unauthorized", "reason": "Unauthorized", "code": 401,
        });
        for answer in [client.get(record::PATH), client.post(record::PATH, &wanted)] {
            let answer = answer.unwrap();
            assert_eq!(
                (answer.status, answer.json().unwrap()),
                (401, expected.clone())
            );
        }
    }

    /// Returns access to the cluster of the scene, with a token that this user gets.
    #[track_caller]
    fn at_cluster(&self, client: &Client) -> AtCluster {
        let wanted = record::wanted(json!({ "clusters": ["b"], "includeDefaultEntry": false }));
        let created = poll::until("the user may have a file", LIMIT, || {
            let answer = client.post(record::PATH, &wanted)?;
            Ok((answer.status == 201).then_some(answer))
        });
        let created = created.unwrap().json().unwrap();
        let gateway = Site::anonymous(self.host()).unwrap();
        AtCluster {
            client: gateway.with_token(&record::tokens(&created)[0]),
            origin: self.host().gateway_url(),
            file: created["status"]["value"].as_str().unwrap().to_owned(),
        }
    }
}

/// A user of the cluster of the scene.
struct AtCluster {
    client: Client,
    origin: String,
    file: String,
}

impl AtCluster {
    /// Returns the name under which the cluster knows the user.
    #[track_caller]
    fn name(&self) -> Value {
        let info = user_info(&self.client, &format!("/k8s/clusters/b{REVIEWS}"));
        info["username"].clone()
    }

    /// Returns the codes of a plain watch of Secrets and of one by a WebSocket.
    #[track_caller]
    fn watch(&self) -> [u16; 2] {
        let path = format!("/k8s/clusters/b{SECRETS}");
        both(&self.client, &self.origin, &path)
    }
}

/// Returns the caller's user info, as the server reports it.
#[track_caller]
fn user_info(client: &Client, path: &str) -> Value {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let answer = expect(client.post(path, &review).unwrap(), 201).unwrap();
    answer.json().unwrap()["status"]["userInfo"].take()
}
