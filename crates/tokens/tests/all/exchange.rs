//! Credentials for a record whose file holds no tokens: only its owner can obtain them.

use api::ext::{Kubeconfig, Token};
use api::management::cluster::{ClientCertificates, ClusterGroups, SecretReference};
use api::management::{Cluster, feature, setting};
use apiserver::testing::{Answer, NOW};
use certificates::{Authority, Certificate, Validity};
use jiff::SignedDuration;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use machinery::meta::{ObjectKey, ObjectMeta, Time};
use management::cluster_secret::Binding;
use serde_json::{Value, json};
use tokens::testing::{SERVER_URL, World, object, seconds};

use crate::sweeper::sweep;

const NAME: &str = "kubeconfig-abcde";

/// Creates a record of alice for `c-a` that lives for two hours.
pub(crate) async fn record(world: &World, change: impl FnOnce(&mut Kubeconfig)) {
    let mut record: Kubeconfig = object(json!({
        "metadata": { "name": NAME, "uid": "uid-1" },
        "spec": { "clusters": ["c-a"], "generateToken": false, "ttl": 7200 },
        "status": { "userName": "alice" },
    }));
    record.metadata.creation_timestamp = Some(Time(NOW));
    change(&mut record);
    world
        .kubeconfigs
        .store()
        .insert(record, false)
        .await
        .unwrap();
}

/// Requests a token with this spec.
async fn ask(world: &World, user: &str, spec: Value) -> Answer {
    world.create_token(&format!("as:{user}"), spec).await
}

/// Requests a token for a cluster as alice.
async fn exchange(world: &World, cluster: &str) -> Answer {
    let spec = json!({ "kubeconfigName": NAME, "clusterName": cluster });
    ask(world, "alice", spec).await
}

/// Returns a token for `c-a`.
async fn bearer(world: &World) -> String {
    let answer = exchange(world, "c-a").await;
    assert_eq!(answer.code, 201, "{}", answer.body);
    answer.body["status"]["bearerToken"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[track_caller]
fn check_refused(answer: &Answer, code: u16, message: &str) {
    let told = (answer.code, answer.body["message"].as_str());
    assert_eq!(told, (code, Some(message)));
}

#[tokio::test]
async fn exchanges_count_for_the_quota() {
    let world = World::start().await;
    record(&world, |_| ()).await;
    world.set(setting::AUTH_TOKEN_MAX_PER_USER, "1").await;
    world
        .set(setting::KUBECONFIG_MAX_CREATES_PER_MINUTE, "2")
        .await;
    bearer(&world).await;
    let excess = "exceeded quota: auth-token-max-per-user, requested: tokens=1, used: tokens=1, limited: tokens=1";
    let answer = exchange(&world, "c-a").await;
    let message = answer.body["message"].as_str().unwrap();
    assert!(answer.code == 403 && message.contains(excess), "{message}");
    let answer = exchange(&world, "c-a").await;
    let message = answer.body["message"].as_str().unwrap();
    let excess =
        "exceeded quota: kubeconfig-max-creates-per-minute, limited: creates in a minute=2";
    assert!(
        answer.code == 429 && message.starts_with(excess),
        "{message}"
    );
}

fn suspend(record: &mut Kubeconfig) {
    record.spec.suspended = Some(true);
}

#[tokio::test]
async fn a_login_is_exchanged_for_a_token_that_hangs_on_the_record() {
    let world = World::start().await;
    record(&world, |_| ()).await;
    let answer = exchange(&world, "c-a").await;
    assert_eq!(answer.code, 201, "{}", answer.body);

    let token: Token = object(answer.body.clone());
    let shown = json!({
        "labels": token.metadata.labels,
        "owners": token.metadata.owner_references,
        "spec": token.spec,
        "expires": token.status.expires_at,
        "endpoints": token.status.endpoints,
    });
    let expected = json!({
        "labels": {
            "authn.management.cattle.io/kind": "kubeconfig",
            "authn.management.cattle.io/kubeconfig-id": NAME,
        },
        "owners": [{
            "apiVersion": "ext.cattle.io/v1", "kind": "Kubeconfig", "name": NAME, "uid": "uid-1",
        }],
        "spec": {
            "userID": "alice",
            "userPrincipal": {
                "name": "local://alice", "loginName": "alice",
                "principalType": "user", "provider": "local",
            },
            "kind": "kubeconfig",
            "ttl": 3_600_000,
            "clusterName": "c-a",
            "kubeconfigName": NAME,
        },
        "expires": seconds(3600).to_string(),
        "endpoints": [{
            "server": format!("{SERVER_URL}/k8s/clusters/c-a?{NAME}"),
            "certificateAuthorityData": "Q0E=",
        }],
    });
    assert_eq!(shown, expected);
    let stored = world
        .tokens
        .store()
        .get(ObjectKey::cluster(token.metadata.name.as_deref().unwrap()));
    let stored = stored.await.unwrap().unwrap();
    assert_eq!(stored.status.endpoints, [], "the addresses may change");
    let bearer = &token.status.bearer_token;
    let valid = world.validity.check(bearer, "c-a", NOW).await.unwrap();
    assert_eq!((valid.user(), valid.kubeconfig()), ("alice", NAME));
    for elsewhere in ["c-b", "local"] {
        assert!(world.validity.check(bearer, elsewhere, NOW).await.is_err());
    }
}

#[tokio::test]
async fn a_record_gives_nothing_to_others_and_nothing_that_it_does_not_cover() {
    let world = World::start().await;
    record(&world, |record| {
        record.spec.include_default_entry = Some(false);
        record.spec.clusters = vec!["c-a".to_owned(), "c-b".to_owned(), "c-gone".to_owned()];
    })
    .await;
    let unknown = r#"kubeconfigs.ext.cattle.io "kubeconfig-abcde" not found"#;
    let asked = json!({ "kubeconfigName": NAME, "clusterName": "c-a" });
    check_refused(&ask(&world, "bob", asked).await, 404, unknown);
    for (cluster, code, message) in [
        (
            "",
            400,
            "spec.clusterName is required with spec.kubeconfigName",
        ),
        (
            "local",
            400,
            "kubeconfig kubeconfig-abcde does not cover cluster local",
        ),
        (
            "c-other",
            400,
            "kubeconfig kubeconfig-abcde does not cover cluster c-other",
        ),
        (
            "c-b",
            403,
            "tokens.ext.cattle.io is forbidden: user alice is not allowed to access cluster c-b",
        ),
    ] {
        check_refused(&exchange(&world, cluster).await, code, message);
    }
    let other = json!({ "kubeconfigName": "kubeconfig-other", "clusterName": "c-a" });
    let unknown = r#"kubeconfigs.ext.cattle.io "kubeconfig-other" not found"#;
    check_refused(&ask(&world, "alice", other).await, 404, unknown);
}

#[tokio::test]
async fn the_default_entry_covers_the_server_and_a_star_what_the_caller_may_get() {
    let world = World::start().await;
    record(&world, |record| record.spec.clusters = vec!["*".to_owned()]).await;
    let codes = async |world: &World| {
        let mut codes = Vec::new();
        for cluster in ["local", "c-a", "c-b"] {
            codes.push(exchange(world, cluster).await.code);
        }
        codes
    };
    assert_eq!(codes(&world).await, [201, 201, 403]);
    let alone = |record: &mut Kubeconfig| record.spec.clusters.clear();
    world.change(&world.kubeconfigs, NAME, alone).await;
    assert_eq!(codes(&world).await, [201, 400, 400]);
}

#[tokio::test]
async fn a_record_that_is_suspended_over_or_full_of_tokens_gives_nothing() {
    let refused = |why: &str| format!("kubeconfigs.ext.cattle.io \"{NAME}\" is forbidden: {why}");
    let holds = format!(
        "the file of kubeconfig {NAME} contains its tokens: others can be requested only if spec.generateToken is false"
    );
    type Case = (fn(&mut Kubeconfig), u16, String);
    let cases: [Case; 5] = [
        (suspend, 403, refused("the kubeconfig is suspended")),
        (
            |record| record.spec.ttl = 0,
            403,
            refused("the kubeconfig has expired"),
        ),
        (
            |record| record.metadata.deletion_timestamp = Some(Time(NOW)),
            403,
            refused("the kubeconfig is being deleted"),
        ),
        (
            |record| record.spec.generate_token = None,
            400,
            holds.clone(),
        ),
        (|record| record.spec.generate_token = Some(true), 400, holds),
    ];
    for (change, code, message) in cases {
        let world = World::start().await;
        record(&world, change).await;
        check_refused(&exchange(&world, "c-a").await, code, &message);
    }
}

#[tokio::test]
async fn a_record_of_before_the_earliest_time_gives_nothing() {
    let too_old = format!(
        "kubeconfigs.ext.cattle.io \"{NAME}\" is forbidden: the kubeconfig was created before the time in the setting auth-token-not-before: create a new one"
    );
    let world = World::start().await;
    record(&world, |_| ()).await;
    for (limit, expected) in [
        (NOW.to_string(), 201),
        (seconds(1).to_string(), 403),
        ("not a time".to_owned(), 403),
        (String::new(), 201),
    ] {
        world.set(setting::AUTH_TOKEN_NOT_BEFORE, &limit).await;
        let answer = exchange(&world, "c-a").await;
        match expected {
            403 => check_refused(&answer, 403, &too_old),
            code => assert_eq!(answer.code, code, "{limit:?}: {}", answer.body),
        }
    }
}

#[tokio::test]
async fn a_token_lives_no_longer_than_its_record_and_the_setting() {
    for (record_secs, asked, expected) in [
        (7200, 0, Ok(3_600_000)),
        (7200, -1, Ok(3_600_000)),
        (7200, 60_000, Ok(60_000)),
        (
            7200,
            3_600_001,
            Err("spec.ttl 3600001 exceeds max ttl 3600000"),
        ),
        (600, 0, Ok(600_000)),
        (600, 600_001, Err("spec.ttl 600001 exceeds max ttl 600000")),
        (7200, 1000, Ok(1000)),
        (
            7200,
            999,
            Err("spec.ttl 999 is less than min ttl 1000: it is in milliseconds"),
        ),
    ] {
        let world = World::start().await;
        record(&world, |record| record.spec.ttl = record_secs).await;
        let spec = json!({ "kubeconfigName": NAME, "clusterName": "c-a", "ttl": asked });
        let answer = ask(&world, "alice", spec).await;
        match expected {
            Ok(ttl) => assert_eq!(answer.body["spec"]["ttl"], ttl, "{}", answer.body),
            Err(message) => check_refused(&answer, 400, message),
        }
    }
}

#[tokio::test]
async fn the_record_stands_behind_its_tokens_while_it_is_there_and_not_suspended() {
    let world = World::start().await;
    record(&world, |_| ()).await;
    let bearer = bearer(&world).await;
    let counts = async || world.validity.check(&bearer, "c-a", NOW).await.is_ok();
    assert!(counts().await);
    world.change(&world.kubeconfigs, NAME, suspend).await;
    assert!(!counts().await, "suspended");
    let resume = |record: &mut Kubeconfig| record.spec.suspended = None;
    world.change(&world.kubeconfigs, NAME, resume).await;
    assert!(counts().await);
    let sell = |record: &mut Kubeconfig| record.status.user_name = "bob".to_owned();
    world.change(&world.kubeconfigs, NAME, sell).await;
    assert!(!counts().await, "of somebody else");
    world
        .remove(&world.kubeconfigs, ObjectKey::cluster(NAME))
        .await;
    assert!(!counts().await, "gone");
    record(&world, |record| {
        record.metadata.uid = Some("uid-2".to_owned())
    })
    .await;
    assert!(!counts().await, "another record of the same name");
}

#[tokio::test]
async fn a_record_with_tokens_stands_only_behind_those_that_it_lists() {
    let world = World::start().await;
    record(&world, |_| ()).await;
    let bearer = bearer(&world).await;
    let generate = |record: &mut Kubeconfig| record.spec.generate_token = Some(true);
    world.change(&world.kubeconfigs, NAME, generate).await;
    assert!(world.validity.check(&bearer, "c-a", NOW).await.is_err());
}

#[tokio::test]
async fn the_sweeper_takes_a_token_only_once_its_record_is_gone() {
    let world = World::start().await;
    record(&world, |_| ()).await;
    bearer(&world).await;
    let left = || world.tokens.cache().all().len();
    sweep(&world, seconds(360)).await;
    assert_eq!(left(), 1);
    world
        .remove(&world.kubeconfigs, ObjectKey::cluster(NAME))
        .await;
    sweep(&world, seconds(360)).await;
    assert_eq!(left(), 0);
}

/// Returns a request for a certificate of another name.
fn signing_request() -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    let name = rcgen::DnType::CommonName;
    params.distinguished_name.push(name, "system:admin");
    params.serialize_request(&key).unwrap().pem().unwrap()
}

/// Requests a certificate for `c-a`.
async fn certify(world: &World, request: &str) -> Answer {
    let spec = json!({
        "kubeconfigName": NAME, "clusterName": "c-a", "certificateSigningRequest": request,
    });
    ask(world, "alice", spec).await
}

/// Gives `c-a` a certificate authority with this lifetime, in a Secret of this type.
async fn set_signer(world: &World, life: SignedDuration, of_type: &str) -> Authority {
    let authority = Authority::create("clients", Validity::starting(NOW, life)).unwrap();
    let reference = SecretReference {
        namespace: "kubeconfig-apiserver".to_owned(),
        name: "cluster-c-a-signer".to_owned(),
    };
    let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(reference.name.clone()),
            namespace: Some(reference.namespace.clone()),
            annotations: Some(world.binding("c-a").annotations()),
            ..ObjectMeta::default()
        },
        type_: Some(of_type.to_owned()),
        data: Some(
            [
                ("tls.crt".to_owned(), bytes(authority.certificate_pem())),
                ("tls.key".to_owned(), bytes(authority.key().expose())),
            ]
            .into(),
        ),
        ..Secret::default()
    };
    world.secrets.store().insert(secret, false).await.unwrap();
    let refer = |cluster: &mut Cluster| {
        cluster.spec.client_certificates = Some(ClientCertificates {
            signer_secret_ref: Some(reference),
        });
    };
    world.change(&world.clusters, "c-a", refer).await;
    authority
}

const DAY: SignedDuration = SignedDuration::from_hours(24);

#[tokio::test]
async fn a_login_is_exchanged_for_a_certificate_that_leaves_no_record() {
    let world = World::start().await;
    record(&world, |_| ()).await;
    let authority = set_signer(&world, DAY, "kubernetes.io/tls").await;
    let answer = certify(&world, &signing_request()).await;
    assert_eq!(answer.code, 201, "{}", answer.body);
    let status = answer.body["status"].as_object().unwrap();
    assert_eq!(status.get("bearerToken"), None);
    assert_eq!(status["expiresAt"], seconds(600).to_string());
    let chain = status["certificate"].as_str().unwrap().as_bytes();
    let chain = Certificate::bundle_from_pem(chain).unwrap();
    assert_eq!(chain[0].subject, "CN=alice");
    assert_eq!(chain[0].validity.not_after, seconds(600));
    assert!(chain[0].is_signed_by(authority.certificate()));
    assert_eq!(chain[1..], [authority.certificate().clone()]);
    assert_eq!(world.tokens.cache().all(), []);
}

#[tokio::test]
async fn a_certificate_contains_the_groups_of_the_login() {
    let world = World::start().await;
    record(&world, |_| ()).await;
    set_signer(&world, DAY, "kubernetes.io/tls").await;
    let map = |cluster: &mut Cluster| {
        cluster.spec.groups = Some(ClusterGroups {
            patterns: vec!["corp:*".to_owned()],
            strip_prefix: "corp:".to_owned(),
            ..ClusterGroups::default()
        });
    };
    world.change(&world.clusters, "c-a", map).await;
    let subject = async |caller: &str| {
        let spec = json!({
            "kubeconfigName": NAME, "clusterName": "c-a",
            "certificateSigningRequest": signing_request(),
        });
        let answer = world.create_token(caller, spec).await;
        let chain = answer.body["status"]["certificate"].as_str();
        let chain = chain.map(|pem| Certificate::bundle_from_pem(pem.as_bytes()).unwrap());
        chain.map_or(answer.body["message"].to_string(), |chain| {
            chain[0].subject.clone()
        })
    };
    let login = "login:alice/0/corp:b/corp:a/other/corp:system:masters";
    assert_eq!(subject(login).await, "O=b, O=a, CN=alice");
    assert_eq!(subject("login:alice/1/other").await, "CN=alice");
    assert_eq!(subject("as:alice").await, "CN=alice");
    let many: String = (0..300).map(|n| format!("/corp:{n:080}")).collect();
    let expected = "\"tokens.ext.cattle.io is forbidden: a credential for cluster c-a would contain 300 groups of 24900 bytes, and 23552 fit into a header: an administrator can select the groups that the cluster needs in spec.groups.patterns of the cluster, or in the setting kubeconfig-groups\"";
    assert_eq!(subject(&format!("login:alice/2{many}")).await, expected);
}

#[tokio::test]
async fn a_certificate_ends_with_the_record() {
    let world = World::start().await;
    record(&world, |record| record.spec.ttl = 60).await;
    set_signer(&world, DAY, "kubernetes.io/tls").await;
    let answer = certify(&world, &signing_request()).await;
    assert_eq!(answer.body["status"]["expiresAt"], seconds(60).to_string());
}

#[tokio::test]
async fn no_certificate_without_an_authority_a_record_and_a_request() {
    let world = World::start().await;
    record(&world, |_| ()).await;
    let request = signing_request();
    let none = "cluster c-a is not set up for client certificates (spec.clientCertificates)";
    check_refused(&certify(&world, &request).await, 400, none);
    let broken = "spec.certificateSigningRequest must be a PEM-encoded PKCS #10 request that is signed with its own key";
    check_refused(&certify(&world, "hello").await, 400, broken);
    let alone = json!({ "clusterName": "c-a", "certificateSigningRequest": request });
    let needs = "spec.certificateSigningRequest requires spec.kubeconfigName and spec.clusterName";
    check_refused(&ask(&world, "alice", alone).await, 400, needs);
}

#[tokio::test]
async fn an_authority_that_cannot_be_used_signs_nothing() {
    let unusable = "Internal error occurred: the authority that signs client certificates for cluster c-a cannot be used; an administrator can find the reason in the log";
    let minute = SignedDuration::from_mins(1);
    for (life, of_type) in [(DAY, "Opaque"), (minute, "kubernetes.io/tls")] {
        let world = World::start().await;
        record(&world, |_| ()).await;
        set_signer(&world, life, of_type).await;
        check_refused(&certify(&world, &signing_request()).await, 500, unusable);
    }
    let world = World::start().await;
    record(&world, |_| ()).await;
    set_signer(&world, DAY, "kubernetes.io/tls").await;
    let path = ObjectKey::namespaced("kubeconfig-apiserver", "cluster-c-a-signer");
    world.remove(&world.secrets, path).await;
    check_refused(&certify(&world, &signing_request()).await, 500, unusable);
}

#[tokio::test]
async fn the_authority_of_another_cluster_signs_nothing() {
    let unusable = "Internal error occurred: the authority that signs client certificates for cluster c-a cannot be used; an administrator can find the reason in the log";
    let world = World::start().await;
    record(&world, |_| ()).await;
    set_signer(&world, DAY, "kubernetes.io/tls").await;
    let path = ObjectKey::namespaced("kubeconfig-apiserver", "cluster-c-a-signer");
    let own = world.binding("c-a").annotations();
    let others = [
        None,
        Some(world.binding("c-b").annotations()),
        Some(Binding::to_cluster("c-a", "uid-of-before").annotations()),
    ];
    for annotations in others {
        let bind = |secret: &mut Secret| secret.metadata.annotations = annotations;
        world.change_at(&world.secrets, path, bind).await;
        check_refused(&certify(&world, &signing_request()).await, 500, unusable);
    }
    let bind = |secret: &mut Secret| secret.metadata.annotations = Some(own);
    world.change_at(&world.secrets, path, bind).await;
    assert_eq!(certify(&world, &signing_request()).await.code, 201);

    for name in [
        "cluster-c-b-signer",
        "kubeconfig-apiserver-serving",
        "cluster-c-a-gateway",
    ] {
        let refer = |cluster: &mut Cluster| {
            let certificates = cluster.spec.client_certificates.as_mut().unwrap();
            name.clone_into(&mut certificates.signer_secret_ref.as_mut().unwrap().name);
        };
        world.change(&world.clusters, "c-a", refer).await;
        check_refused(&certify(&world, &signing_request()).await, 500, unusable);
    }
}

#[tokio::test]
async fn a_certificate_for_the_server_itself_needs_the_right_to_the_cluster() {
    let world = World::start().await;
    record(&world, |_| ()).await;
    let spec = json!({
        "kubeconfigName": NAME, "clusterName": "local",
        "certificateSigningRequest": signing_request(),
    });
    let answer = ask(&world, "alice", spec).await;
    check_refused(&answer, 400, "cluster local not found");
}

#[tokio::test]
async fn a_token_without_a_record_lives_at_least_a_second_and_has_a_long_name() {
    let world = World::start().await;
    for ttl in [1, 500, 999] {
        let answer = ask(&world, "alice", json!({ "ttl": ttl })).await;
        let message = format!("spec.ttl {ttl} is less than min ttl 1000: it is in milliseconds");
        check_refused(&answer, 400, &message);
    }
    let answer = ask(&world, "alice", json!({ "ttl": 1000 })).await;
    assert_eq!(answer.code, 201, "{}", answer.body);
    let name = answer.body["metadata"]["name"].as_str().unwrap();
    assert_eq!(name.strip_prefix("token-").map(str::len), Some(15));
}

#[tokio::test]
async fn a_feature_that_is_off_gives_nothing_and_lets_owners_take_back() {
    let world = World::start().await;
    record(&world, |_| ()).await;
    let bearer = bearer(&world).await;
    world.turn_off(feature::EXT_KUBECONFIGS).await;
    let message = "tokens.ext.cattle.io is forbidden: kubeconfigs are turned off by the feature ext-kubeconfigs";
    check_refused(&exchange(&world, "c-a").await, 403, message);
    assert!(world.validity.check(&bearer, "c-a", NOW).await.is_ok());
    let own = ask(&world, "alice", json!({})).await;
    assert_eq!(own.code, 201, "{}", own.body);
}
