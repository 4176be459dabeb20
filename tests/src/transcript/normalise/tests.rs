//! Tests that two runs of a real server give the same output.

use super::Normaliser;

#[track_caller]
fn check(text: &str, expected: &str) {
    let folders = vec![("/tmp/x1/data".to_owned(), "<data>")];
    let mut normaliser = Normaliser::new(folders).unwrap();
    assert_eq!(normaliser.apply(text), expected);
}

#[test]
fn names_are_numbered_in_the_order_of_their_appearance() {
    check(
        "kubeconfig-zp786 kubeconfig-h2xk4\n",
        "kubeconfig-<1> kubeconfig-<2>\n",
    );
    check(
        "kubeconfig-h2xk4\nkubeconfig-zp786\nkubeconfig-h2xk4\n",
        "kubeconfig-<1>\nkubeconfig-<2>\nkubeconfig-<1>\n",
    );
    check(
        "kubeconfig-zp786 token-zp786zp786zp786\n",
        "kubeconfig-<1> token-<1>\n",
    );
}

#[test]
fn words_that_only_look_generated_stay() {
    check(
        "kubeconfig-default-token-ttl-minutes\n",
        "kubeconfig-default-token-ttl-minutes\n",
    );
    check(
        "kubeconfig-apiserver kubeconfig-token\n",
        "kubeconfig-apiserver kubeconfig-token\n",
    );
    check("token-zp7868\n", "token-zp7868\n");
}

#[test]
fn what_is_left_of_a_life_is_known_by_its_column() {
    check(
        concat!(
            "CONTEXT   EXPIRES   STATE\n",
            "prod      7h59m     Active\n"
        ),
        concat!(
            "CONTEXT   EXPIRES   STATE\n",
            "prod      <age>     Active\n"
        ),
    );
}

#[test]
fn an_age_is_known_by_its_column_and_columns_stay() {
    check(
        concat!(
            "NAME               TTL   TOKENS   STATUS     AGE\n",
            "kubeconfig-zp786   90s   2/2      Complete   18d\n",
        ),
        concat!(
            "NAME               TTL   TOKENS   STATUS     AGE\n",
            "kubeconfig-<1>     90s   2/2      Complete   <age>\n",
        ),
    );
    check(
        concat!(
            "NAME               TTL   TOKENS   STATUS     AGE   USER    CLUSTERS   DESCRIPTION\n",
            "kubeconfig-zp786   30d   1/1      Complete   0s    alice   *          My 90s one\n",
            "kubeconfig-h2xk4   30d   1/1      Complete   7m2s  bob                \n",
        ),
        concat!(
            "NAME               TTL   TOKENS   STATUS     AGE   USER    CLUSTERS   DESCRIPTION\n",
            "kubeconfig-<1>     30d   1/1      Complete   <age> alice   *          My 90s one\n",
            "kubeconfig-<2>     30d   1/1      Complete   <age> bob\n",
        ),
    );
}

#[test]
fn an_empty_line_ends_a_table() {
    check(
        "NAME  AGE\nx     5s\n\nx     5s\n",
        "NAME  AGE\nx     <age>\n\nx     5s\n",
    );
}

#[test]
fn prose_about_age_is_no_heading() {
    check("the AGE  is\nthe 5s   is\n", "the AGE  is\nthe 5s   is\n");
    check("TTL  PAGE\n5s   5s\n", "TTL  PAGE\n5s   5s\n");
}

#[test]
fn times_uids_versions_and_ports_have_one_name() {
    check("at: 2026-01-02T03:04:05Z\n", "at: <time>\n");
    check("at: 2026-01-02T03:04:05.123456Z,\n", "at: <time>,\n");
    check(
        "# createdTimestamp: 2026-01-02T03:04:05+01:00\n",
        "# createdTimestamp: <time>\n",
    );
    check(
        "uid: 6c0a4f0e-52f7-4b1e-9a53-7c39e3a8b0de\n",
        "uid: <uid>\n",
    );
    check(
        r#"{"resourceVersion":"12"}"#,
        "{\"resourceVersion\":\"<version>\"}\n",
    );
    check("Resource Version:  12\n", "Resource Version:  <version>\n");
    check(
        "?resourceVersion=12&watch=1\n",
        "?resourceVersion=<version>&watch=1\n",
    );
    check(
        "server: https://127.0.0.1:40123/k8s\n",
        "server: https://127.0.0.1:<port>/k8s\n",
    );
    check("https://[::1]:40123\n", "https://[::1]:<port>\n");
    check(
        r#""continue":"eyJ2IjoibWV0YS5rOHMuaW8""#,
        "\"continue\":\"<continue>\"\n",
    );
}

#[test]
fn secrets_and_folders_have_one_name() {
    check("token: eyJhbGciOi.eyJpc3MiOi.c2ln-_x\n", "token: <token>\n");
    let certificate = "Q".repeat(60);
    check(
        &format!("certificate-authority-data: \"{certificate}=\"\n"),
        "certificate-authority-data: \"<base64>\"\n",
    );
    check(
        "open /tmp/x1/data/bob.kubeconfig\n",
        "open <data>/bob.kubeconfig\n",
    );
}

#[test]
fn a_log_line_of_kubectl_keeps_only_its_message() {
    check(
        "E1123 00:49:30.123456   12345 memcache.go:265] \"Unhandled Error\"\n",
        "E<log> memcache.go] \"Unhandled Error\"\n",
    );
}
