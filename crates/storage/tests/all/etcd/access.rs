//! Tests of authentication, of isolation between prefixes, and of etcd's refusals.

use std::{fs, sync::Arc};

use storage::{
    Error, Revision, Store,
    etcd::{Etcd, EtcdOptions, InvalidEndpoint, OpenError, TlsFiles},
};

use super::{chain, create, key, names, next, open, options, start, value};

#[tokio::test(flavor = "multi_thread")]
async fn others_in_the_same_etcd_are_not_seen() {
    let cluster = start(1, &[]);
    let ours = open(&cluster, "/ours");
    let neighbours = ["/theirs", "/our", "/ours-too"].map(|prefix| open(&cluster, prefix));
    let last = create(&*ours, "a").await;
    let mut watch = ours.watch(last).await.expect("the revision is kept");
    for neighbour in &neighbours {
        create(&**neighbour, "b").await;
    }
    assert_eq!(names(&*ours).await, ["a"]);
    // No event comes, but the watch reaches the revision that was returned.
    let newest = ours.current_revision().await.expect("it answers");
    assert!(newest > last);
    let batch = next(&mut watch).await;
    assert_eq!((batch.events, batch.revision), (vec![], newest));
    // Keys that another store puts under our prefix, with a longer prefix within it, are not
    // visible either.
    let inside = open(&cluster, "/ours/deep/er");
    create(&*inside, "c").await;
    assert_eq!(names(&*ours).await, ["a"]);
    let created = create(&*ours, "d").await;
    let batch = next(&mut watch).await;
    assert_eq!(batch.events, []);
    assert_eq!(next(&mut watch).await.revision, created);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_may_all_compact() {
    let cluster = start(1, &[]);
    let replicas = [0; 3].map(|_| open(&cluster, "/tests"));
    let mut last = create(&*replicas[0], "a").await;
    for number in 0..20 {
        let text = value(&number.to_string());
        let updated = replicas[number % 3].update(&key("a"), text, last).await;
        last = updated.expect("nobody else writes");
    }
    let back = |count| Revision::new(last.get() - count);
    let [a, b, c] = &replicas;
    let done = tokio::join!(a.compact(back(7)), b.compact(back(5)), c.compact(back(9)));
    assert!(matches!(done, (Ok(()), Ok(()), Ok(()))), "{done:?}");
    for replica in &replicas {
        let compacted = replica.compacted_revision().await;
        assert_eq!(compacted.expect("it answers"), back(5));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_refused_on_both_sides() {
    let cluster = start(1, &[]);
    let [foreign_ca, foreign_certificate, foreign_key] =
        cluster.foreign_files().expect("they are written");
    let known = options(&cluster, "/tests").tls;
    let foreign = TlsFiles {
        certificate: Some(foreign_certificate),
        key: Some(foreign_key),
        ..known.clone()
    };
    let none = TlsFiles {
        certificate: None,
        key: None,
        ..known.clone()
    };
    let wrong_server = TlsFiles {
        ca: Some(foreign_ca),
        ..known
    };
    let refused = async |tls| {
        let options = EtcdOptions {
            tls,
            ..options(&cluster, "/tests")
        };
        let store = Etcd::open(&options).expect("the options are sound");
        let error = store.get(&key("a")).await.expect_err("it is refused");
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        chain(&error)
    };
    let (foreign, none, wrong_server) =
        tokio::join!(refused(foreign), refused(none), refused(wrong_server));
    assert!(wrong_server.contains("UnknownIssuer"), "{wrong_server}");
    for told in [none, foreign] {
        assert!(told.contains("no member of etcd is ready"), "{told}");
    }
    let log = fs::read_to_string(cluster.folder().join("0.log")).expect("a log");
    for reason in ["client didn't provide a certificate", "unknown authority"] {
        assert!(log.contains(reason), "{reason}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn renewed_files_count_for_new_connections() {
    let cluster = start(1, &[]);
    let [_, foreign_certificate, foreign_key] = cluster.foreign_files().expect("they are written");
    let home = tempfile::TempDir::new().expect("a directory");
    let (certificate, key_file) = (home.path().join("tls.crt"), home.path().join("tls.key"));
    let put = |from_certificate, from_key| {
        fs::copy(from_certificate, &certificate).expect("a copy");
        fs::copy(from_key, &key_file).expect("a copy");
    };
    put(foreign_certificate, foreign_key);
    let mut options = options(&cluster, "/tests");
    options.tls.certificate = Some(certificate.clone());
    options.tls.key = Some(key_file.clone());
    let store = Arc::new(Etcd::open(&options).expect("the options are sound"));
    store.get(&key("a")).await.expect_err("it is refused");
    put(cluster.certificate_file(), cluster.key_file());
    create(&*store, "a").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn etcds_own_limits_are_told() {
    let flags = [
        "--max-request-bytes=100000",
        "--quota-backend-bytes=1000000",
    ];
    let cluster = start(1, &flags);
    let store = open(&cluster, "/tests");
    let large = vec![b'x'; 200_000].into();
    let refused = store.create(&key("large"), large).await;
    let expect = (200_000, 199_999);
    assert!(
        matches!(refused, Err(Error::TooLarge { size, limit }) if (size, limit) == expect),
        "{refused:?}"
    );
    let fits = || vec![b'x'; 90_000].into();
    let mut written = 0;
    let full = loop {
        match store.create(&key(&written.to_string()), fits()).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 100, "there is a quota");
    };
    assert!(matches!(full, Error::Unavailable(_)), "{full:?}");
    assert!(
        chain(&full).contains("database space exceeded"),
        "{}",
        chain(&full)
    );
    // Reads continue and show the acknowledged writes. The rejected write may or may not be stored:
    // etcd executes the write that exceeds the quota and reports an error nevertheless
    // (`quotaApplierV3` in its `apply.go`).
    let mut read = names(&*store).await;
    read.retain(|name| *name != written.to_string());
    let mut acknowledged: Vec<String> = (0..written).map(|number| number.to_string()).collect();
    acknowledged.sort();
    assert_eq!(read, acknowledged);
}

#[tokio::test]
async fn unfit_options_are_refused() {
    let refused = |endpoints: &[&str], prefix: &str| {
        let options = EtcdOptions {
            endpoints: endpoints.iter().map(ToString::to_string).collect(),
            prefix: prefix.to_owned(),
            tls: TlsFiles::default(),
        };
        Etcd::open(&options).map(drop).expect_err("it is refused")
    };
    assert!(matches!(refused(&[], "/p"), OpenError::NoEndpoint));
    assert!(matches!(refused(&["http://etcd"], "p/"), OpenError::Prefix));
    let mixed = refused(&["http://etcd", "https://etcd"], "/p");
    let OpenError::Endpoint { url, source } = mixed else {
        panic!("{mixed:?}")
    };
    assert_eq!(url, "https://etcd");
    assert!(matches!(source, InvalidEndpoint::NoCa), "{source:?}");
}
