use super::*;

fn day(number: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap() + DAY * i32::try_from(number).unwrap()
}

fn names(hosts: &[&str]) -> Names {
    hosts.iter().copied().collect()
}

/// Returns the day on which a CA was created.
fn made(ca: &Certificate) -> i64 {
    ca.validity.age(day(0)).as_hours() / -24
}

/// Formats the previous, current and next CA by the days on which they were created: `186 [372]
/// 558`.
fn shape(state: &State) -> String {
    let previous = state.previous.as_ref().map(|previous| {
        let ca = Certificate::from_pem(previous.ca.as_bytes()).unwrap();
        format!("{} ", made(&ca))
    });
    let next = state.next.as_ref();
    let next = next.map(|next| format!(" {}", made(next.certificate())));
    let signing = made(state.ca.certificate());
    format!(
        "{}[{signing}]{}",
        previous.unwrap_or_default(),
        next.unwrap_or_default()
    )
}

/// Runs one step a day, and returns the days on which CAs changed. `trusts` is true if the host
/// trusts the next CA on a day.
fn story(days: std::ops::RangeInclusive<i64>, trusts: fn(i64) -> bool) -> Vec<(i64, String)> {
    let names = names(&["a.b.svc"]);
    let mut state = beginning(&names, day(0)).unwrap();
    let mut told = vec![(0, shape(&state))];
    for today in days {
        if let Some(new) = due(&state, &names, trusts(today), day(today)).unwrap() {
            assert!(new.leaf.is_signed_by(new.ca.certificate()), "{today}");
            state = new;
        }
        assert!(
            state.leaf.validity.left(day(today)) >= LEAF_RENEWAL,
            "{today}"
        );
        let now = shape(&state);
        if told.last().unwrap().1 != now {
            told.push((today, now));
        }
    }
    told
}

#[track_caller]
fn check(told: Vec<(i64, String)>, expected: &[(i64, &str)]) {
    let told: Vec<_> = told
        .iter()
        .map(|(day, shape)| (*day, shape.as_str()))
        .collect();
    assert_eq!(told, expected);
}

#[test]
fn a_ca_signs_after_it_was_announced_and_is_trusted_until_its_last_leaf_is_over() {
    check(
        story(1..=480, |_| true),
        &[
            (0, "[0]"),
            (186, "[0] 186"),
            (276, "0 [186]"),
            (303, "[186]"),
            (372, "[186] 372"),
            (462, "186 [372]"),
            (474, "[372]"),
        ],
    );
}

#[test]
fn a_ca_that_the_host_does_not_trust_signs_only_when_the_present_one_is_over() {
    check(
        story(1..=400, |_| false),
        &[
            (0, "[0]"),
            (186, "[0] 186"),
            (365, "[186]"),
            (372, "[186] 372"),
        ],
    );
    check(
        story(1..=340, |today| today >= 320),
        &[(0, "[0]"), (186, "[0] 186"), (320, "0 [186]")],
    );
}

#[test]
fn after_a_sleep_beyond_the_ends_of_all_there_is_one_new_ca() {
    let names = names(&["a.b.svc"]);
    let state = beginning(&names, day(0)).unwrap();
    let new = due(&state, &names, false, day(2000)).unwrap().unwrap();
    assert_eq!(shape(&new), "[2000]");
    assert_eq!(new.leaf.validity, Validity::starting(day(2000), LEAF_LIFE));
}

#[test]
fn a_next_ca_that_was_made_in_this_very_pass_does_not_sign() {
    let names = names(&["a.b.svc"]);
    let state = beginning(&names, day(0)).unwrap();
    let new = due(&state, &names, true, day(300)).unwrap().unwrap();
    assert_eq!(shape(&new), "[0] 300");
}

#[test]
fn replicas_that_want_different_names_agree_on_all_until_the_next_renewal() {
    let (old, new) = (names(&["a", "10.0.0.1"]), names(&["a", "b"]));
    let state = beginning(&old, day(0)).unwrap();
    assert!(due(&state, &old, false, day(1)).unwrap().is_none());
    let both = due(&state, &new, false, day(1)).unwrap().unwrap();
    assert_eq!(both.leaf.names, names(&["a", "b", "10.0.0.1"]));
    for wanted in [&old, &new] {
        assert!(due(&both, wanted, false, day(2)).unwrap().is_none());
    }
    let renewed = due(&both, &new, false, day(22)).unwrap().unwrap();
    assert_eq!(renewed.leaf.names, new);
}

#[test]
fn a_state_comes_back_from_the_secret_as_it_went_in() {
    let names = names(&["a.b.svc"]);
    let first = beginning(&names, day(0)).unwrap();
    let announced = due(&first, &names, false, day(190)).unwrap().unwrap();
    let switched = due(&announced, &names, true, day(290)).unwrap().unwrap();
    for state in [first, announced, switched] {
        let read = State::parse(&state.data()).unwrap();
        assert_eq!(read.data(), state.data());
        assert_eq!(read.bundle(), state.bundle());
    }
}

#[test]
fn entries_that_are_missing_cut_or_mixed_up_are_named() {
    let names = names(&["a.b.svc"]);
    let one = beginning(&names, day(0)).unwrap();
    let one = due(&one, &names, false, day(190)).unwrap().unwrap().data();
    let other = beginning(&names, day(0)).unwrap().data();
    for (entry, blamed) in [
        ("ca.crt", "ca.crt"),
        ("ca.key", "ca.crt"),
        ("next-ca.key", "next-ca.crt"),
        ("tls.crt", "tls.crt"),
        ("tls.key", "tls.crt"),
    ] {
        let blame = |value: Option<&k8s_openapi::ByteString>| {
            let mut broken = one.clone();
            broken.remove(entry);
            broken.extend(value.map(|value| (entry.to_owned(), value.clone())));
            State::parse(&broken).err().map(|(blamed, _)| blamed)
        };
        assert_eq!(blame(None), Some(blamed), "{entry} missing");
        let cut = one[entry].0[..60].to_vec();
        let cut = k8s_openapi::ByteString(cut);
        assert_eq!(blame(Some(&cut)), Some(blamed), "{entry} cut");
        let other = other.get(entry).or_else(|| other.get("ca.key"));
        assert_eq!(blame(other), Some(blamed), "{entry} of another");
    }
    let mut leaf_of_another = one.clone();
    for entry in ["tls.crt", "tls.key"] {
        leaf_of_another.insert(entry.to_owned(), other[entry].clone());
    }
    let (blamed, error) = State::parse(&leaf_of_another).err().unwrap();
    assert_eq!(
        (blamed, error.to_string().as_str()),
        ("tls.crt", "the certificate and the key do not match")
    );
}
