use std::sync::Arc;

use super::{Digest, SHARDS, Verified, VerifiedCache};
use crate::jwt::Claims;

fn verified(id: &str) -> Verified {
    Verified {
        kid: "key".into(),
        claims: Arc::new(Claims {
            iss: String::new(),
            sub: String::new(),
            aud: Vec::new(),
            iat: 0,
            nbf: 0,
            exp: 0,
            jti: id.to_owned(),
            groups: Vec::new(),
        }),
    }
}

impl VerifiedCache {
    /// Returns the number of entries.
    pub(in crate::jwt) fn entries(&self) -> usize {
        let shards = self.shards.iter().map(|shard| {
            let shard = shard.lock();
            shard.young.len() + shard.old.len()
        });
        shards.sum()
    }

    /// Returns whether the cache holds an entry, without marking it as used.
    fn holds(&self, digest: &Digest) -> bool {
        let shard = self.shard(digest);
        shard.young.contains_key(digest) || shard.old.contains_key(digest)
    }

    fn remember(&self, token: &str) {
        self.insert(self.digest(token), verified(token));
    }

    fn recall(&self, token: &str) -> Option<String> {
        let known = self.get(&self.digest(token));
        known.map(|verified| verified.claims.jti.clone())
    }
}

/// Returns a digest in the first shard.
fn digest(number: u8) -> Digest {
    let mut digest = Digest::default();
    digest[31] = number;
    digest
}

#[test]
fn what_was_put_in_comes_out() {
    let cache = VerifiedCache::new(1000).unwrap();
    assert_eq!(cache.recall("a"), None);
    cache.remember("a");
    cache.remember("b");
    cache.remember("a");
    assert_eq!(cache.recall("a"), Some("a".to_owned()));
    assert_eq!(cache.recall("b"), Some("b".to_owned()));
    assert_eq!(cache.recall("c"), None);
    assert_eq!(cache.entries(), 2);
}

#[test]
fn two_caches_name_a_token_differently() {
    let caches = [(); 2].map(|()| VerifiedCache::new(1).unwrap());
    assert_ne!(caches[0].digest("token"), caches[1].digest("token"));
    assert_eq!(caches[0].digest("token"), caches[0].digest("token"));
    assert_ne!(caches[0].digest("token"), caches[0].digest("tokem"));
}

#[test]
fn it_never_holds_more_than_twice_its_capacity() {
    let cache = VerifiedCache::new(10 * SHARDS).unwrap();
    for number in 0..5000 {
        cache.remember(&number.to_string());
    }
    assert!(cache.entries() > 10 * SHARDS, "{}", cache.entries());
    assert!(cache.entries() <= 20 * SHARDS, "{}", cache.entries());
}

#[test]
fn entries_in_use_outlive_others() {
    let cache = VerifiedCache::new(2 * SHARDS).unwrap();
    for number in 0..20 {
        cache.insert(digest(number), verified(""));
        assert!(cache.get(&digest(0)).is_some());
    }
    let known = (0..20).filter(|number| cache.holds(&digest(*number)));
    assert_eq!(known.collect::<Vec<_>>(), [0, 18, 19]);
}

#[test]
fn a_cache_without_capacity_remembers_nothing() {
    let cache = VerifiedCache::new(0).unwrap();
    cache.remember("a");
    assert_eq!(cache.recall("a"), None);
}

#[test]
fn debug_output_names_no_token() {
    let cache = VerifiedCache::new(64).unwrap();
    cache.remember("canary");
    assert_eq!(
        format!("{cache:?}"),
        "VerifiedCache { shard_capacity: 2, .. }"
    );
}
