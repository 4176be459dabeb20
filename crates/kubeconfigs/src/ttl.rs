//! The lifetime of a new kubeconfig. The rules are those of Rancher.

use jiff::{SignedDuration, Timestamp};
use machinery::status::Status;
use management::settings::{Settings, TtlLimits};
use tokens::origin::Origin;
use tokens::token_record::MAX_TTL;

/// Returns the lifetime of a new kubeconfig in seconds: the requested one if it is allowed, or the
/// default for 0, within what the origin of the record permits now.
///
/// # Errors
/// 400 for a lifetime that is not allowed; 500 for invalid settings.
pub(crate) fn settle(
    asked: i64,
    origin: &Origin,
    now: Timestamp,
    settings: &Settings,
) -> Result<i64, Status> {
    let limits = settings.kubeconfig_ttl();
    let limits = limits
        .map_err(|error| Status::internal(format!("error getting default token TTL: {error}")))?;
    let ttl = within(asked, limits).map_err(Status::bad_request)?;
    within_token(asked, ttl, origin, now).map_err(Status::bad_request)
}

/// Rejects a requested lifetime that exceeds what grants permit for a cluster. Shortens the default
/// instead.
///
/// # Errors
/// 400 for a requested lifetime that is not allowed.
pub(crate) fn within_grants(
    asked: i64,
    ttl: i64,
    granted: Option<SignedDuration>,
    cluster: &str,
) -> Result<i64, Status> {
    match granted.map(|granted| granted.as_secs()) {
        Some(granted) if asked > granted => Err(Status::bad_request(format!(
            "spec.ttl {asked} exceeds max ttl {granted} of your grants for cluster {cluster}"
        ))),
        Some(granted) => Ok(ttl.min(granted)),
        None => Ok(ttl),
    }
}

/// Rejects a requested lifetime that exceeds that of the token that the record descends from.
/// Shortens the default instead.
fn within_token(asked: i64, ttl: i64, origin: &Origin, now: Timestamp) -> Result<i64, String> {
    let (token, hint) = (origin.token(), origin.hint());
    match origin.max_ttl(now).map(|left| left.as_secs()) {
        Some(left) if left < 1 => Err(format!("{token} expires too soon to create another")),
        Some(left) if asked > left => Err(format!(
            "spec.ttl {asked} exceeds the remaining {left} seconds of {token}{hint}"
        )),
        Some(left) => Ok(ttl.min(left)),
        None => Ok(ttl),
    }
}

fn within(asked: i64, limits: TtlLimits) -> Result<i64, String> {
    let max = limits.max.unwrap_or(MAX_TTL).min(MAX_TTL).as_secs();
    match asked {
        i64::MIN..0 => Err("spec.ttl can't be negative (infinite)".to_owned()),
        0 => limits.default.map(|ttl| ttl.as_secs()).ok_or_else(|| {
            "spec.ttl can't be negative (infinite), please fix the default".to_owned()
        }),
        _ if asked > max => Err(format!("spec.ttl {asked} exceeds max ttl {max}")),
        _ => Ok(asked),
    }
}

#[cfg(test)]
mod tests {
    use api::ext::{Token, TokenSpec};
    use machinery::meta::{ObjectMeta, Time};
    use tokens::origin::Parent;

    use super::*;

    #[track_caller]
    fn check(asked: i64, (default, max): (Option<i64>, Option<i64>), expected: Result<i64, &str>) {
        let limits = TtlLimits {
            default: default.map(SignedDuration::from_secs),
            max: max.map(SignedDuration::from_secs),
        };
        assert_eq!(
            within(asked, limits),
            expected.map_err(str::to_owned),
            "{asked}"
        );
    }

    #[test]
    fn what_a_token_mints_ends_with_the_token() {
        #[track_caller]
        fn check(asked: i64, left: Option<i64>, expected: Result<i64, &str>) {
            let now = Timestamp::UNIX_EPOCH;
            let origin = match left {
                Some(left) => Origin {
                    parent: Some(Parent::of(&Token {
                        spec: TokenSpec {
                            ttl: left * 1000,
                            ..TokenSpec::default()
                        },
                        metadata: ObjectMeta {
                            creation_timestamp: Some(Time(now)),
                            ..ObjectMeta::default()
                        },
                        ..Token::default()
                    })),
                    ..Origin::default()
                },
                None => Origin::default(),
            };
            let found = within_token(asked, asked.clamp(20, 30), &origin, now);
            assert_eq!(found, expected.map_err(str::to_owned));
        }
        check(30, None, Ok(30));
        check(0, Some(10), Ok(10));
        check(20, Some(20), Ok(20));
        let told = "spec.ttl 21 exceeds the remaining 20 seconds of the token of this request: log in instead";
        check(21, Some(20), Err(told));
    }

    #[test]
    fn a_life_is_the_default_or_what_was_asked_for_within_the_maximum() {
        check(0, (Some(30), Some(60)), Ok(30));
        check(60, (Some(30), Some(60)), Ok(60));
        check(
            61,
            (Some(30), Some(60)),
            Err("spec.ttl 61 exceeds max ttl 60"),
        );
        check(
            i64::MAX,
            (Some(30), Some(60)),
            Err("spec.ttl 9223372036854775807 exceeds max ttl 60"),
        );
        check(
            -1,
            (Some(30), Some(60)),
            Err("spec.ttl can't be negative (infinite)"),
        );
        check(
            i64::MIN,
            (Some(30), None),
            Err("spec.ttl can't be negative (infinite)"),
        );
        check(
            0,
            (None, None),
            Err("spec.ttl can't be negative (infinite), please fix the default"),
        );
        check(1_000_000, (Some(30), None), Ok(1_000_000));
        check(
            i64::MAX,
            (Some(30), None),
            Err("spec.ttl 9223372036854775807 exceeds max ttl 3153600000"),
        );
    }
}
