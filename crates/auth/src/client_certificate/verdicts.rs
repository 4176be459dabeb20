//! A cache of the certificates that one CA bundle has verified. Checking a signature costs some
//! hundred times more than a hash, and a client presents the same certificate with every request of
//! a connection.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use parking_lot::Mutex;
use rustls::pki_types::UnixTime;

use crate::user::UserInfo;

/// The SHA-256 of a certificate's DER form.
pub(super) type Fingerprint = [u8; 32];

/// Maximum number of certificates in the cache of a bundle: about half a megabyte of users. A full
/// cache is cleared.
const CAPACITY: usize = 1024;

/// The result for a verified certificate.
#[derive(Clone)]
pub(super) struct Verdict {
    pub(super) user: UserInfo,
    /// The start of the certificate's own validity, in seconds since 1970.
    pub(super) issued_secs: i64,
    /// The range, in seconds since 1970, in which the verdict is valid.
    pub(super) valid_secs: RangeInclusive<i64>,
}

/// Verified certificates by fingerprint. Failures are not cached.
#[derive(Default)]
pub(super) struct Verdicts {
    by_fingerprint: Mutex<HashMap<Fingerprint, Verdict>>,
}

impl Verdicts {
    /// Returns the verdict on a certificate that was verified before and is valid at `now`.
    pub(super) fn get(&self, fingerprint: &Fingerprint, now: UnixTime) -> Option<Verdict> {
        let now = i64::try_from(now.as_secs()).ok()?;
        let verdicts = self.lock();
        let verdict = verdicts.get(fingerprint)?;
        let counts = verdict.valid_secs.contains(&now);
        counts.then(|| verdict.clone())
    }

    pub(super) fn insert(&self, fingerprint: Fingerprint, verdict: Verdict) {
        let mut verdicts = self.lock();
        if verdicts.len() >= CAPACITY {
            verdicts.clear();
        }
        verdicts.insert(fingerprint, verdict);
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, HashMap<Fingerprint, Verdict>> {
        self.by_fingerprint.lock()
    }
}
