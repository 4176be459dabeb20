//! Paths and headers of requests to clusters.

use ::fuzz::Target;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use crate::request_headers;
use crate::route::Route;

#[test]
fn routes() {
    let target = Target {
        name: "route",
        seeds: &[
            b"/k8s/clusters/c-1/api/v1/pods?watch=1",
            b"/k8s/clusters/c-1",
            b"/k8s/clusters/c-1/api/v1/proxy/x%2e%2e/%252e%252e/..;a/b",
        ],
        dictionary: &[
            "/",
            "..",
            "%2e",
            "%2E",
            "%2f",
            "%5c",
            "\\",
            ";",
            "?",
            "%00",
            "/k8s/clusters/",
            "//",
        ],
    };
    target.run(|input| {
        let text = String::from_utf8_lossy(input);
        let route = Route::of(&text);
        if let Route::Cluster { id, rest } = route {
            assert_eq!(text, format!("/k8s/clusters/{id}{rest}"));
            assert!(!id.is_empty() && !id.contains(['/', '%', '\\', '?', '.']) || id.contains('.'));
            let path = rest.split('?').next().unwrap_or_default();
            let decoded = percent_decode_str(path).collect::<Vec<u8>>();
            let mut segments = decoded.split(|byte| b"/\\".contains(byte));
            assert!(
                !segments.any(|segment| segment == b".." || segment == b"."),
                "{text:?}"
            );
            assert!(
                !decoded.starts_with(b"//") && !decoded.starts_with(b"/\\"),
                "{text:?}"
            );
        }
        format!("{:?}", std::mem::discriminant(&route))
    });
}

#[test]
fn headers() {
    let target = Target {
        name: "headers",
        seeds: &[
            b"connection:close, x-a\nx-a:1\nauthorization:Bearer x\nimpersonate-user:root\nte:trailers",
            b"impersonate_user:root\nx-remote-user:a\nx-forwarded-for:1\ncookie:a\nupgrade:websocket\naccept:*/*",
        ],
        dictionary: &["connection:", "impersonate-", "Impersonate_", "x-remote-", "x-forwarded-", "forwarded:", "authorization:", "cookie:", "host:", ",", "\n", "te:", "keep-alive"],
    };
    target.run(|input| {
        let mut sent = HeaderMap::new();
        for line in input.split(|byte| *byte == b'\n') {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                continue;
            };
            let name = HeaderName::from_bytes(&line[..colon]);
            let value = HeaderValue::from_bytes(&line[colon + 1..]);
            if let (Ok(name), Ok(value)) = (name, value) {
                sent.append(name, value);
            }
        }
        let clean = request_headers::clean(&sent);
        for name in clean.keys() {
            let plain = name.as_str().replace('_', "-");
            let is_withheld = [
                "impersonate-",
                "x-remote-",
                "x-forwarded-",
                "kubeconfig-login-",
            ]
            .iter()
            .any(|prefix| plain.starts_with(prefix))
                || [
                    "authorization",
                    "cookie",
                    "host",
                    "connection",
                    "upgrade",
                    "transfer-encoding",
                    "content-length",
                    "forwarded",
                ]
                .contains(&plain.as_str());
            assert!(!is_withheld, "{name} of {sent:?}");
        }
        format!("{} of {}", clean.len().min(20), sent.len().min(20))
    });
}
