use std::collections::BTreeMap;

use super::*;

fn user(name: &str, groups: &[&str]) -> UserInfo {
    UserInfo {
        groups: groups.iter().map(|&group| group.to_owned()).collect(),
        ..UserInfo::named(name)
    }
}

#[track_caller]
fn refused(user: UserInfo) -> (Part, NameError) {
    let error = Identity::check(user).unwrap_err();
    (error.part, error.problem)
}

/// All white space, and all characters that some program removes like white space.
const OUTER: [char; 27] = [
    ' ', '\t', '\n', '\u{b}', '\u{c}', '\r', '\u{85}', '\u{a0}', '\u{1680}', '\u{180e}',
    '\u{2000}', '\u{2001}', '\u{2002}', '\u{2003}', '\u{2004}', '\u{2005}', '\u{2006}', '\u{2007}',
    '\u{2008}', '\u{2009}', '\u{200a}', '\u{200b}', '\u{2028}', '\u{202f}', '\u{205f}', '\u{3000}',
    '\u{feff}',
];

#[test]
fn white_space_at_an_end_is_refused_in_every_part() {
    let extra = |key: &str, value: &str| UserInfo {
        extra: BTreeMap::from([(key.to_owned(), vec![value.to_owned()])]),
        ..UserInfo::named("alice")
    };
    for space in OUTER {
        for text in [format!("{space}a"), format!("a{space}"), space.to_string()] {
            let uid = UserInfo {
                uid: text.clone(),
                ..UserInfo::named("alice")
            };
            let all = [
                (user(&text, &[]), Part::UserName),
                (uid, Part::Uid),
                (user("alice", &["dev", &text]), Part::Group),
                (extra(&text, "a"), Part::ExtraKey),
                (extra("a", &text), Part::ExtraValue),
            ];
            for (user, part) in all {
                assert_eq!(refused(user), (part, NameError::OuterSpace), "{text:?}");
            }
        }
    }
}

#[test]
fn controls_and_invisible_characters_are_refused_anywhere() {
    for character in [
        '\0',
        '\t',
        '\n',
        '\r',
        '\u{1b}',
        '\u{7f}',
        '\u{85}',
        '\u{9b}',
        '\u{a0}',
        '\u{ad}',
        '\u{fffd}',
        '\u{34f}',
        '\u{61c}',
        '\u{115f}',
        '\u{180e}',
        '\u{2003}',
        '\u{200b}',
        '\u{200c}',
        '\u{200d}',
        '\u{200e}',
        '\u{200f}',
        '\u{2028}',
        '\u{2029}',
        '\u{202a}',
        '\u{202e}',
        '\u{2060}',
        '\u{2066}',
        '\u{2069}',
        '\u{2800}',
        '\u{3000}',
        '\u{3164}',
        '\u{fe0f}',
        '\u{feff}',
        '\u{ffa0}',
        '\u{fff9}',
        '\u{1d173}',
        '\u{e0001}',
        '\u{e0041}',
        '\u{e0100}',
    ] {
        let text = format!("al{character}ice");
        let expected = NameError::Character(character);
        assert_eq!(refused(user(&text, &[])), (Part::UserName, expected));
    }
}

#[test]
fn an_empty_name_is_none() {
    assert_eq!(refused(user("", &[])), (Part::UserName, NameError::Empty));
    assert_eq!(refused(user("a", &[""])), (Part::Group, NameError::Empty));
    let extra = |key: &str| UserInfo {
        extra: BTreeMap::from([(key.to_owned(), vec![String::new()])]),
        ..UserInfo::named("alice")
    };
    assert_eq!(refused(extra("")), (Part::ExtraKey, NameError::Empty));
    assert_eq!(
        refused(extra("Role")),
        (Part::ExtraKey, NameError::UpperCase)
    );
    assert!(Identity::check(extra("role")).is_ok());
}

#[test]
fn reserved_names_have_one_spelling() {
    for text in [
        "System:masters",
        "system\u{ff1a}masters",
        "\u{455}ystem:masters",
    ] {
        let expected = |part| (part, NameError::ReservedSpelling);
        assert_eq!(refused(user(text, &[])), expected(Part::UserName));
        assert_eq!(refused(user("alice", &[text])), expected(Part::Group));
    }
}

#[test]
fn names_of_people_and_programs_pass_unchanged() {
    for name in [
        "alice",
        "alice@example.com",
        "John Doe",
        "https://idp.example.com#42",
        "arn:aws:iam::1:role/x",
        "CN=John Doe,OU=Ops",
        "José",
        "石川",
        "Сергей",
        "à",
        "system:admin",
        "system:serviceaccount:ns:bot",
        "system:masters",
    ] {
        let named = user(name, &[name, "system:authenticated"]);
        assert_eq!(Identity::check(named.clone()).unwrap().into_user(), named);
    }
}

#[test]
fn an_error_names_the_part_and_the_problem() {
    let text = |user| Identity::check(user).unwrap_err().to_string();
    assert_eq!(
        text(user("alice", &[" system:masters"])),
        r#"group " system:masters" must not begin or end with white space"#
    );
    assert_eq!(
        text(user("ali\u{202e}ce", &[])),
        r#"user name "ali\u{202e}ce" must not contain the character U+202E"#
    );
}
