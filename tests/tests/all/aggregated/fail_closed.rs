//! Requests are rejected if a fact cannot be determined: the identity of the caller, the caller's
//! rights, or the validity of a token.

use std::time::Duration;

use e2e::host::NAME;
use e2e::http::{Answer, Client, Request, expect};
use e2e::{Host, HostOptions, poll};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;
use test_cluster::{Certificate, Options};

use crate::record;

/// Time limit for changes that take a replica tens of seconds.
const LIMIT: Duration = Duration::from_secs(120);

const BINDING: &str = "kubeconfig-apiserver:auth-delegator";

#[test]
fn what_cannot_be_known_is_refused() {
    let mut host = Host::start_with(&HostOptions::default()).unwrap();
    record::create(&host.client("bob").unwrap(), json!({}));
    nobody_is_whom_headers_name(&host);
    nobody_may_what_the_host_does_not_say(&host);
    nothing_is_kept_that_the_host_does_not_let_us(&host);
    no_token_counts_without_the_store(&mut host);
}

/// Sends the headers of a front proxy, without its certificate.
fn nobody_is_whom_headers_name(host: &Host) {
    let port = host.replicas[0].secure_port();
    let as_who = |certificate: &Certificate| host.client_at_as(port, certificate).unwrap();
    let alice = host.client_at(port, "alice").unwrap();
    let spoof = |client: &Client, user: &str, group: &str| {
        let request = Request::get(record::PATH).header("X-Remote-User", user);
        client
            .send(&request.header("X-Remote-Group", group))
            .unwrap()
    };
    let masters = |client: &Client| spoof(client, "system:admin", "system:masters");
    let others = host.cluster.front_proxy_certificate("somebody").unwrap();
    let of_years = |years| {
        let valid = host
            .cluster
            .front_proxy_certificate_in("front-proxy-client", years);
        valid.unwrap()
    };
    let refused = [
        masters(&alice.without_credential()),
        masters(&as_who(&foreign("front-proxy-client"))),
        masters(&as_who(&others)),
        masters(&as_who(&of_years(2000..2001))),
        masters(&as_who(&of_years(3000..3001))),
    ];
    for answer in &refused {
        assert_eq!(answer.status, 401, "{}", answer.text());
        assert_eq!(answer.body, refused[0].body, "all look alike");
    }
    let mine = masters(&alice);
    assert_eq!(
        names(mine),
        [""; 0],
        "a user's certificate is no front proxy's"
    );

    let front_proxy = host.cluster.front_proxy_certificate("front-proxy-client");
    let front_proxy = as_who(&front_proxy.unwrap());
    assert_eq!(
        names(masters(&front_proxy)).len(),
        1,
        "but headers do count"
    );
    let hers = spoof(&front_proxy, "alice", "system:authenticated");
    assert_eq!(names(hers), [""; 0]);
}

/// Revokes the server's permission to ask the host about permissions.
fn nobody_may_what_the_host_does_not_say(host: &Host) {
    let (alice, admin) = (host.client("alice").unwrap(), host.admin().unwrap().0);
    let wanted = record::wanted(json!({ "description": "not to be" }));
    let create = Request::new("POST", record::PATH).json(&wanted);
    let list = Request::get(record::PATH);
    let export = ["get", "clusterrolebinding", BINDING, "-o=json"];
    let binding = admin.output(&export).unwrap();
    admin
        .output(&["delete", "clusterrolebinding", BINDING])
        .unwrap();

    poll::until("nothing remembered is left", LIMIT, || {
        Ok((alice.send(&list)?.status != 200).then_some(()))
    })
    .unwrap();
    for request in [&create, &list, &Request::new("DELETE", record::PATH)] {
        let answer = alice.send(request).unwrap();
        assert_eq!(answer.status, 500, "{request}: {}", answer.text());
    }
    let all = host.client("admin").unwrap().get(record::PATH).unwrap();
    assert_eq!(
        names(all).len(),
        1,
        "administrators are not asked about, and nothing was made"
    );

    let apply = admin
        .run_with_input(&["create", "-f", "-"], &binding)
        .unwrap();
    assert_eq!(apply.code, 0, "{}", apply.stderr);
    poll::until("the host is asked again", LIMIT, || {
        Ok((alice.send(&list)?.status == 200).then_some(()))
    })
    .unwrap();
}

/// Revokes the server's permission to write its Secrets.
fn nothing_is_kept_that_the_host_does_not_let_us(host: &Host) {
    let (alice, admin) = (host.client("alice").unwrap(), host.admin().unwrap().0);
    let grant = |verbs: &[&str]| {
        let patch = json!([{"op": "replace", "path": "/rules/0/verbs", "value": verbs}]);
        let patch = patch.to_string();
        let role = ["patch", "role", NAME, "-n", NAME, "--type=json", "-p"];
        admin.output(&[&role[..], &[&patch]].concat()).unwrap();
    };
    let all = [
        "get", "list", "watch", "create", "update", "patch", "delete",
    ];
    grant(&all[..3]);
    let create = || alice.post(record::PATH, &record::wanted(json!({})));
    let refused = poll::until("it is refused", LIMIT, || {
        let answer = create()?;
        Ok((answer.status != 201).then_some(answer))
    })
    .unwrap();
    assert_eq!(refused.status, 403, "{}", refused.text());
    let refused = refused.json().unwrap();
    let (name, message) = (&refused["details"]["name"], &refused["message"]);
    let expect =
        format!("kubeconfigs.ext.cattle.io {name} is forbidden: backing store denied the request");
    assert_eq!(*message, json!(expect));
    grant(&all);
    poll::until("it is let in again", LIMIT, || {
        Ok((create()?.status == 201).then_some(()))
    })
    .unwrap();
}

/// Stops the host, which is the store.
fn no_token_counts_without_the_store(host: &mut Host) {
    let replica = &host.replicas[0];
    let admin = host.client_at(replica.secure_port(), "admin").unwrap();
    let gateway = host.client_at(replica.gateway_port(), "alice").unwrap();
    let gateway = gateway.without_credential();
    let created = record::create(&host.client("alice").unwrap(), json!({}));
    let user = gateway.with_token(&record::tokens(&created)[0]);
    expect(user.get(record::PATH).unwrap(), 200).unwrap();

    host.cluster.stop_apiserver();
    poll::until("the token is refused", LIMIT, || {
        Ok((user.get(record::PATH)?.status == 401).then_some(()))
    })
    .unwrap();
    let cluster = "/k8s/clusters/c-m-p66cdvlj/version";
    for (client, path, status) in [
        (&user, record::PATH, 401),
        (&user, cluster, 401),
        (&gateway, "/livez", 200),
        (&admin, "/livez", 200),
        (&admin, "/readyz", 500),
        (&admin, "/apis", 200),
        (&admin, "/apis/ext.cattle.io/v1", 200),
        (&admin, "/openapi/v2", 200),
        (&admin, "/openapi/v3/apis/ext.cattle.io/v1", 200),
        (&admin, record::PATH, 503),
    ] {
        let answer = client.get(path).unwrap();
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
    }
    host.cluster.restart_apiserver(&Options::default()).unwrap();
    poll::until("the token counts again", LIMIT, || {
        Ok((user.get(record::PATH)?.status == 200).then_some(()))
    })
    .unwrap();
}

#[track_caller]
fn names(list: Answer) -> Vec<String> {
    let list = expect(list, 200).unwrap().json().unwrap();
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(record::name)
        .collect()
}

/// Returns a certificate of an unknown authority.
fn foreign(name: &str) -> Certificate {
    let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let signed = params.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    Certificate {
        certificate: signed.pem(),
        key: key.serialize_pem(),
    }
}
