//! References of Clusters to Secrets, where the host serves Clusters without our validation: a user
//! who may edit one Cluster gets no credential of another, and the credential of the own Cluster is
//! not sent to another server, until a writer of Secrets permits it.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::{Host, Kubectl, poll, program};
use serde_json::{Value, json};
use test_cluster::Certificate;

use crate::listener::Listener;
use crate::record;

const CLUSTERS: &str = "/apis/management.cattle.io/v3/clusters";
const NAMESPACE: &str = "kubeconfig-apiserver";

/// Time limit for changes of the host's RBAC to take effect, including our cache of its answers.
const LIMIT: Duration = Duration::from_secs(120);

/// An attacker who may get, update and patch the Cluster `evilcorp`, but no Secret.
struct Attack<'a> {
    host: &'a Host,
    mallory: Kubectl,
    /// The server that evilcorp refers to at first, and that of the attacker.
    own: Listener,
    other: Listener,
}

#[test]
fn a_user_who_may_edit_one_cluster_gets_the_credential_of_no_other() {
    let host = Host::start().unwrap();
    let attack = Attack::begin(&host);
    attack.own_credential_is_sent_where_it_is_bound_to();
    attack.schema_of_the_chart_refuses_foreign_secrets();
    attack.schema_of_the_chart_refuses_what_files_must_not_say();
    attack.without_the_schema_nothing_is_sent_either();
    attack.another_server_needs_a_writer_of_secrets();
    attack.nothing_is_signed_by_the_authority_of_another();
    attack.an_invalid_cluster_costs_itself_alone();
    attack.a_limit_of_a_wrong_type_is_not_the_default();
}

impl<'a> Attack<'a> {
    fn begin(host: &'a Host) -> Self {
        let certificate = host.cluster.client_certificate("mallory", None).unwrap();
        host.add_user("mallory", &credential(&certificate)).unwrap();
        let attack = Self {
            host,
            mallory: host.kubectl("mallory").unwrap(),
            own: Listener::start().unwrap(),
            other: Listener::start().unwrap(),
        };
        attack.register_victim();
        attack.apply(&json!({
            "apiVersion": "management.cattle.io/v3", "kind": "Cluster",
            "metadata": {"name": "evilcorp"},
            "spec": {"connection": connection(&attack.own, "cluster-evilcorp-gateway")},
        }));
        attack.apply(&secret("cluster-evilcorp-gateway", "evilcorps-credential"));
        for (user, verbs) in [("mallory", "get,update,patch"), ("alice", "get")] {
            attack.allow(user, verbs);
        }
        attack
    }

    /// Registers the host itself, with the gateway's real credential.
    fn register_victim(&self) {
        let from = self.host.kubeconfig("admin");
        let from = format!("--from={}", from.display());
        self.cluster_command(&["add", "victim", &from]);
    }

    fn allow(&self, user: &str, verbs: &str) {
        let admin = self.host.admin().unwrap().0;
        let (name, verbs) = (format!("evilcorp-{user}"), format!("--verb={verbs}"));
        let resource = "--resource=clusters.management.cattle.io";
        let role = ["create", "clusterrole", &name, &verbs, resource];
        admin
            .output(&[&role[..], &["--resource-name=evilcorp"]].concat())
            .unwrap();
        let (role, user) = (format!("--clusterrole={name}"), format!("--user={user}"));
        let binding = ["create", "clusterrolebinding", &name, &role, &user];
        admin.output(&binding).unwrap();
    }

    fn own_credential_is_sent_where_it_is_bound_to(&self) {
        self.await_reason("CredentialNotBound");
        assert_eq!(self.own.seen(), "");
        self.cluster_command(&["bind", "evilcorp"]);
        self.await_reason("Unreachable");
        assert!(self.own.seen().contains("Bearer evilcorps-credential"));
    }

    fn schema_of_the_chart_refuses_foreign_secrets(&self) {
        for name in [
            "cluster-victim-gateway",
            "kubeconfig-apiserver-serving",
            "cluster-evilcorp-signer",
        ] {
            let told = self.patch(&json!({"connection": connection(&self.other, name)}));
            let why = "spec.connection.credentialSecretRef must name the cluster's own Secret";
            assert!(told.is_err_and(|told| told.contains(why)), "{name}");
        }
        let signer =
            json!({"clientCertificates": {"signerSecretRef": reference("cluster-victim-signer")}});
        let why = "spec.clientCertificates.signerSecretRef must name the cluster's own Secret";
        assert!(self.patch(&signer).is_err_and(|told| told.contains(why)));
    }

    fn schema_of_the_chart_refuses_what_files_must_not_say(&self) {
        for name in [
            json!("a\nb"),
            json!("a\u{202e}b"),
            json!("a".repeat(257)),
            json!({"a": "b"}),
        ] {
            assert!(self.patch(&json!({"displayName": name})).is_err(), "{name}");
        }
        let endpoint = json!({"localClusterAuthEndpoint": {"fqdn": "evil.example/x?y="}});
        assert!(self.patch(&endpoint).is_err());
        let right = json!({"displayName": "Evil Corp. 悪", "localClusterAuthEndpoint": {"fqdn": "[fd00::1]:6443"}});
        self.patch(&right).unwrap();
        self.patch(&json!({"localClusterAuthEndpoint": null}))
            .unwrap();
    }

    /// Repeats the attacks with a CRD like Rancher's own: with a status, and without a validation
    /// rule.
    fn without_the_schema_nothing_is_sent_either(&self) {
        self.take_schema_away("clusters.management.cattle.io");
        for name in ["cluster-victim-gateway", "kubeconfig-apiserver-serving"] {
            let attack = json!({"connection": connection(&self.other, name)});
            poll::until("the host knows the new schema", LIMIT, || {
                Ok(self.patch(&attack).ok())
            })
            .unwrap();
            self.await_reason("CredentialNotBound");
            self.ask_as_alice();
        }
        assert_eq!(self.other.seen(), "");
    }

    fn another_server_needs_a_writer_of_secrets(&self) {
        let own = "cluster-evilcorp-gateway";
        self.patch(&json!({"connection": connection(&self.other, own)}))
            .unwrap();
        self.await_message("is bound to a connection other than spec.connection");
        self.ask_as_alice();
        assert_eq!(self.other.seen(), "");

        let refused = self.run_cluster_command(&["bind", "evilcorp"]).unwrap_err();
        let digest = refused
            .lines()
            .find_map(|line| line.split_once("--to "))
            .unwrap()
            .1;
        assert!(refused.contains(self.other.url()), "{refused}");
        self.cluster_command(&["bind", "evilcorp", "--to", digest]);
        self.await_reason("Unreachable");
        assert!(self.other.seen().contains("Bearer evilcorps-credential"));
    }

    fn nothing_is_signed_by_the_authority_of_another(&self) {
        let signer = certificates::Authority::create("victim", validity()).unwrap();
        let mut secret = secret("cluster-victim-signer", "");
        secret["type"] = "kubernetes.io/tls".into();
        secret["data"] = json!({
            "tls.crt": STANDARD.encode(signer.certificate_pem()),
            "tls.key": STANDARD.encode(signer.key().expose()),
        });
        self.apply(&secret);
        self.cluster_command(&["bind", "victim"]);
        let reference = reference("cluster-victim-signer");
        self.patch(&json!({"clientCertificates": {"signerSecretRef": reference}}))
            .unwrap();

        let alice = self.host.client("alice").unwrap();
        let spec = json!({"clusters": ["evilcorp"], "generateToken": false});
        let name = record::name(&record::create(&alice, spec)).to_owned();
        let wanted = json!({
            "apiVersion": "ext.cattle.io/v1", "kind": "Token",
            "spec": {
                "kubeconfigName": name, "clusterName": "evilcorp",
                "certificateSigningRequest": signing_request(),
            },
        });
        // The server follows the Cluster by a watch.
        let answer = poll::until("the server knows the reference", LIMIT, || {
            let answer = alice.post("/apis/ext.cattle.io/v1/tokens", &wanted)?;
            Ok((answer.status != 400).then_some(answer))
        })
        .unwrap();
        assert_eq!(answer.status, 500, "{}", answer.text());
        assert!(
            answer.text().contains("cannot be used"),
            "{}",
            answer.text()
        );
    }

    /// Creates objects that a CRD without a schema accepts: a file for all clusters omits them and
    /// states that, and a file for one of them is rejected.
    fn an_invalid_cluster_costs_itself_alone(&self) {
        let type_ = "its object has a field of the wrong type";
        let characters = "spec.displayName: Invalid value: must not contain control, format or line-separating characters";
        let endpoint = |fields: Value| {
            let mut endpoint = json!({"enabled": true, "fqdn": "a.example"});
            endpoint
                .as_object_mut()
                .unwrap()
                .extend(fields.as_object().unwrap().clone());
            json!({"localClusterAuthEndpoint": endpoint})
        };
        for (spec, why) in [
            (json!({"displayName": {"a": "b"}}), type_),
            (json!({"displayName": "a\u{1b}[31m\0\nb"}), characters),
            (
                json!({"displayName": "a".repeat(100_000)}),
                "spec.displayName: Invalid value: must have at most 256 characters",
            ),
            (json!({"connection": [1]}), type_),
            (json!({"connection": {"server": 5}}), type_),
            (endpoint(json!({"enabled": "yes"})), type_),
            (
                endpoint(json!({"fqdn": "evil.example/x?y=\n"})),
                "spec.localClusterAuthEndpoint.fqdn: Invalid value: must be a host name or an IP address, with an optional port",
            ),
            (
                endpoint(json!({"caCerts": "garbage"})),
                "spec.localClusterAuthEndpoint.caCerts: Invalid value: must contain only PEM-encoded X.509 certificates",
            ),
            (json!("text"), type_),
        ] {
            self.replace_spec(&spec);
            self.check_left_out(why);
        }
        self.replace_spec(&json!({}));
    }

    /// Checks a file for all clusters of alice, and the answer to one for evilcorp.
    #[track_caller]
    fn check_left_out(&self, why: &str) {
        let alice = self.host.client("alice").unwrap();
        let created = poll::until("the server knows the object", LIMIT, || {
            let created = record::create(&alice, json!({"clusters": ["*"], "ttl": 600}));
            let conditions = created["status"]["conditions"].as_array().unwrap();
            let said = conditions.iter().find(|it| it["type"] == "ClustersSkipped");
            let is_it = said.is_some_and(|said| said["message"] == format!("evilcorp: {why}"));
            Ok(is_it.then_some(created))
        });
        let created = created.unwrap_or_else(|error| panic!("{error:#}: {why}"));
        let file = created["status"]["value"].as_str().unwrap();
        let file: Value = serde_saphyr::from_str(file).unwrap();
        let contexts = file["contexts"].as_array().unwrap().iter();
        let contexts: Vec<&str> = contexts.map(|it| it["name"].as_str().unwrap()).collect();
        let expected = [
            "rancher",
            "downstream2",
            "downstream2-cp2",
            "downstream2-cp1",
            "downstream1",
        ];
        assert_eq!(contexts, expected);
        let wanted = record::wanted(json!({"clusters": ["evilcorp"]}));
        let refused = alice.post(record::PATH, &wanted).unwrap();
        assert_eq!(refused.status, 500);
        let expected = format!("Internal error occurred: cluster evilcorp cannot be used: {why}");
        assert_eq!(refused.json().unwrap()["message"], expected);
    }

    fn replace_spec(&self, spec: &Value) {
        let patch = json!([{"op": "add", "path": "/spec", "value": spec}]).to_string();
        let patch = [
            "patch",
            "clusters.management.cattle.io",
            "evilcorp",
            "--type=json",
            "-p",
            &patch,
        ];
        self.mallory.output(&patch).unwrap();
    }

    fn a_limit_of_a_wrong_type_is_not_the_default(&self) {
        self.take_schema_away("settings.management.cattle.io");
        let admin = self.host.admin().unwrap().0;
        let name = "kubeconfig-max-token-ttl-minutes";
        for value in [json!(5), json!({})] {
            let patch = json!({"value": value}).to_string();
            let patch = [
                "patch",
                "settings.management.cattle.io",
                name,
                "--type=merge",
                "-p",
                &patch,
            ];
            poll::until("the host knows the new schema", LIMIT, || {
                Ok((admin.run(&patch)?.code == 0).then_some(()))
            })
            .unwrap();
            let alice = self.host.client("alice").unwrap();
            let refused = poll::until("the server knows the setting", LIMIT, || {
                let answer = alice.post(record::PATH, &record::wanted(json!({})))?;
                Ok((answer.status != 201).then_some(answer))
            })
            .unwrap();
            let expected = format!(
                "Internal error occurred: error getting default token TTL: setting {name}: its object has a field of the wrong type"
            );
            assert_eq!(refused.json().unwrap()["message"], expected);
        }
    }

    /// Replaces the schema by one like that of Rancher's own CRDs: any field of any type.
    fn take_schema_away(&self, crd: &str) {
        let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let path = "/spec/versions/0/schema/openAPIV3Schema";
        let patch = json!([{"op": "replace", "path": path, "value": schema}]).to_string();
        let patch = ["patch", "crd", crd, "--type=json", "-p", &patch];
        self.host.admin().unwrap().0.output(&patch).unwrap();
    }

    /// Accesses evilcorp with a file of alice. An answer of the gateway itself is not an answer of
    /// a cluster.
    fn ask_as_alice(&self) {
        let alice = self.host.client("alice").unwrap();
        let created = poll::until("alice may have a file", LIMIT, || {
            let wanted = json!({
                "apiVersion": "ext.cattle.io/v1", "kind": "Kubeconfig",
                "spec": {"clusters": ["evilcorp"], "includeDefaultEntry": false},
            });
            let answer = alice.post("/apis/ext.cattle.io/v1/kubeconfigs", &wanted)?;
            Ok((answer.status == 201).then(|| answer.json()))
        });
        let created = created.unwrap().unwrap();
        let file: Value =
            serde_saphyr::from_str(created["status"]["value"].as_str().unwrap()).unwrap();
        let port = self.host.replicas[0].gateway_port();
        let gateway = self
            .host
            .client_at(port, "alice")
            .unwrap()
            .without_credential();
        let token = file["users"][0]["user"]["token"].as_str().unwrap();
        let answer = gateway
            .with_token(token)
            .get("/k8s/clusters/evilcorp/api/v1/namespaces");
        let answer = answer.unwrap();
        assert_eq!(answer.status, 503);
        assert!(
            answer.text().contains("is not bound to it"),
            "{}",
            answer.text()
        );
    }

    fn patch(&self, spec: &Value) -> Result<(), String> {
        let patch = json!({"spec": spec}).to_string();
        let patch = [
            "patch",
            "clusters.management.cattle.io",
            "evilcorp",
            "--type=merge",
            "-p",
            &patch,
        ];
        let told = self.mallory.run(&patch).unwrap();
        match told.code {
            0 => Ok(()),
            _ => Err(told.stderr),
        }
    }

    /// Waits until the condition is for the current object, and has this reason.
    fn await_reason(&self, reason: &str) {
        self.await_condition(|ready| ready["reason"] == reason, reason);
    }

    fn await_message(&self, part: &str) {
        self.await_condition(
            |ready| {
                ready["message"]
                    .as_str()
                    .is_some_and(|it| it.contains(part))
            },
            part,
        );
    }

    fn await_condition(&self, is_it: impl Fn(&Value) -> bool, what: &str) {
        let admin = self.host.client("admin").unwrap();
        let path = format!("{CLUSTERS}/evilcorp");
        let waited = poll::until(&format!("evilcorp says {what}"), LIMIT, || {
            let cluster = admin.get(&path)?.json()?;
            let is_current =
                cluster["status"]["observedGeneration"] == cluster["metadata"]["generation"];
            let ready = &cluster["status"]["conditions"][0];
            Ok((is_current && is_it(ready)).then_some(()))
        });
        waited.unwrap_or_else(|error| panic!("{error:#}: {}", self.host.logs()));
    }

    fn apply(&self, object: &Value) {
        self.host.admin().unwrap().apply(object).unwrap();
    }

    #[track_caller]
    fn cluster_command(&self, arguments: &[&str]) {
        self.run_cluster_command(arguments).unwrap();
    }

    /// Runs `kubeconfig-apiserver cluster …` as the host's administrator.
    fn run_cluster_command(&self, arguments: &[&str]) -> Result<(), String> {
        let file = format!("--kubeconfig={}", self.host.kubeconfig("admin").display());
        let arguments = [&["cluster"], arguments, &[&file]].concat();
        let outcome = program::run(&arguments).unwrap();
        match outcome.code {
            0 => Ok(()),
            _ => Err(outcome.stderr),
        }
    }
}

fn connection(listener: &Listener, credential: &str) -> Value {
    json!({
        "server": listener.url(),
        "caData": STANDARD.encode(listener.certificate()),
        "credentialSecretRef": reference(credential),
    })
}

fn reference(name: &str) -> Value {
    json!({"namespace": NAMESPACE, "name": name})
}

fn secret(name: &str, token: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "data": {"token": STANDARD.encode(token)},
    })
}

fn credential(certificate: &Certificate) -> Value {
    json!({
        "client-certificate-data": STANDARD.encode(&certificate.certificate),
        "client-key-data": STANDARD.encode(&certificate.key),
    })
}

fn validity() -> certificates::Validity {
    certificates::Validity {
        not_before: "2020-01-01T00:00:00Z".parse().unwrap(),
        not_after: "2099-01-01T00:00:00Z".parse().unwrap(),
    }
}

fn signing_request() -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let request = rcgen::CertificateParams::default().serialize_request(&key);
    request.unwrap().pem().unwrap()
}
