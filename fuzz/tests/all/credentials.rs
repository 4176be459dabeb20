//! Header fields that say who calls. An input has a field in each line: name, colon, value.

use auth::bearer::AuthorizationHeader;
use auth::impersonation::Impersonation;
use fuzz::Target;

use crate::outcome;

fn fields(input: &[u8]) -> Vec<(String, Vec<u8>)> {
    let lines = input.split(|byte| *byte == b'\n');
    let field = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = String::from_utf8_lossy(&line[..colon]).into_owned();
        Some((name, line[colon + 1..].to_vec()))
    };
    lines.filter_map(field).collect()
}

#[test]
fn authorization() {
    let target = Target {
        name: "authorization",
        seeds: &[
            b"authorization:Bearer abc.def.ghi",
            b"authorization: bearer  x\nauthorization:Basic eA==",
            b"authorization:Bearer",
        ],
        dictionary: &["Bearer ", "authorization:", "\n", " ", "\t"],
    };
    target.run(|input| {
        let fields = fields(input);
        let values = fields.iter().map(|(_, value)| value.as_slice());
        match AuthorizationHeader::parse(values) {
            AuthorizationHeader::Absent => assert!(fields.is_empty()),
            AuthorizationHeader::Refused(reason) => return format!("{reason:?}"),
            AuthorizationHeader::Bearer(token) => {
                assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
                assert_eq!(fields.len(), 1);
            }
        }
        "ok".to_owned()
    });
}

#[test]
fn impersonation() {
    let target = Target {
        name: "impersonation",
        seeds: &[
            b"Impersonate-User:alice\nImpersonate-Group:dev\nImpersonate-Uid:1\nImpersonate-Extra-a%2fb:c",
            b"Impersonate-Extra-:x\nimpersonate-user:system:serviceaccount:a:b",
        ],
        dictionary: &["Impersonate-User:", "Impersonate-Group:", "Impersonate-Uid:", "Impersonate-Extra-", "%2f", "%zz", "%", "\n", "system:serviceaccount:", "system:masters"],
    };
    target.run(|input| {
        let fields = fields(input);
        let asked = fields
            .iter()
            .any(|(name, _)| Impersonation::is_impersonation_header(name));
        let wanted =
            Impersonation::from_headers(fields.iter().map(|(name, value)| (name.as_str(), value)));
        // A field with an empty value asks for nothing.
        assert!(asked || !wanted.is_requested());
        let attributes = wanted.attributes();
        if attributes.as_ref().is_ok_and(|needed| !needed.is_empty()) {
            let user = wanted.identity().unwrap().into_user();
            let name = user.name.as_str();
            assert!(!name.is_empty() && name.trim() == name, "{name:?}");
            assert!(!name.contains(char::is_control), "{name:?}");
        }
        outcome(&attributes)
    });
}
