use super::{
    DiscoveryVersion, Encoding, MetaVersion, Negotiated, Offer, Transform, Transforms,
    content_type, explicit_content_type, negotiate, wants_pretty,
};
use crate::status::Status;

const PLAIN_JSON: Negotiated = Negotiated {
    encoding: Encoding::Json,
    transform: Transform::None,
    pretty: false,
};

const PLAIN_YAML: Negotiated = Negotiated {
    encoding: Encoding::Yaml,
    ..PLAIN_JSON
};

const TABLE: Negotiated = Negotiated {
    transform: Transform::Table {
        version: MetaVersion::V1,
    },
    ..PLAIN_JSON
};

#[track_caller]
fn check(accept: &str, offer: Offer, expected: Option<Negotiated>) {
    assert_eq!(negotiate(Some(accept), &offer).ok(), expected);
}

#[test]
fn json_is_the_default() {
    assert_eq!(negotiate(None, &Offer::RESOURCE), Ok(PLAIN_JSON));
    check("", Offer::RESOURCE, Some(PLAIN_JSON));
    check("*/*", Offer::RESOURCE, Some(PLAIN_JSON));
    check("*", Offer::RESOURCE, Some(PLAIN_JSON));
    check("application/*", Offer::RESOURCE, Some(PLAIN_JSON));
}

#[test]
fn types_are_known_whatever_their_case_and_unknown_parameters() {
    check("application/json", Offer::PLAIN, Some(PLAIN_JSON));
    check(
        "Application/YAML; charset=utf-8",
        Offer::PLAIN,
        Some(PLAIN_YAML),
    );
    check(
        "application/json;profile=nopeer;export=1;sv=",
        Offer::PLAIN,
        Some(PLAIN_JSON),
    );
}

#[test]
fn unknown_types_are_not_acceptable() {
    check("text/html", Offer::RESOURCE, None);
    check("application/vnd.kubernetes.protobuf", Offer::RESOURCE, None);
    check("text/*", Offer::RESOURCE, None);
    check("nonsense", Offer::RESOURCE, None);
    check("application/json;sv=v1", Offer::RESOURCE, None);
}

#[test]
fn errors_list_what_is_accepted() {
    let error = negotiate(Some("text/html"), &Offer::RESOURCE).unwrap_err();
    assert_eq!(
        error.to_string(),
        "only the following media types are accepted: application/json, application/yaml"
    );
    assert_eq!(Status::from(error).code, 406);
    let error = negotiate(Some("application/yaml"), &Offer::WATCH).unwrap_err();
    assert_eq!(
        error.to_string(),
        "only the following media types are accepted: application/json;stream=watch"
    );
}

#[test]
fn quality_comes_before_particularity_before_order() {
    check(
        "application/yaml, application/json",
        Offer::PLAIN,
        Some(PLAIN_YAML),
    );
    check(
        "application/yaml;q=0.5, application/json",
        Offer::PLAIN,
        Some(PLAIN_JSON),
    );
    check("*/*, application/yaml", Offer::PLAIN, Some(PLAIN_YAML));
    check(
        "application/*, application/yaml",
        Offer::PLAIN,
        Some(PLAIN_YAML),
    );
    check(
        "*/*;q=0.9, application/yaml;q=0.8",
        Offer::PLAIN,
        Some(PLAIN_JSON),
    );
    check(
        "text/html, image/gif, *; q=.2, */*; q=.2",
        Offer::PLAIN,
        Some(PLAIN_JSON),
    );
    check(
        "application/json;q=x, application/yaml;q=0.1",
        Offer::PLAIN,
        Some(PLAIN_YAML),
    );
    check("application/json;q=0", Offer::PLAIN, Some(PLAIN_JSON));
}

#[test]
fn kubectl_gets_a_table_where_there_is_one() {
    let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,\
                   application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
    check(kubectl, Offer::RESOURCE, Some(TABLE));
    check(kubectl, Offer::WATCH, Some(TABLE));
    check(kubectl, Offer::PLAIN, Some(PLAIN_JSON));
    let without_table = Offer {
        transforms: Transforms::Metadata,
        stream: false,
    };
    check(kubectl, without_table, Some(PLAIN_JSON));
}

#[test]
fn forms_have_two_versions() {
    let version = MetaVersion::V1beta1;
    check(
        "application/yaml;as=Table;v=v1beta1;g=meta.k8s.io",
        Offer::RESOURCE,
        Some(Negotiated {
            transform: Transform::Table { version },
            ..PLAIN_YAML
        }),
    );
    let transform = Transform::PartialObjectMetadata { version };
    check(
        "application/json;as=PartialObjectMetadata;v=v1beta1;g=meta.k8s.io",
        Offer::RESOURCE,
        Some(Negotiated {
            transform,
            ..PLAIN_JSON
        }),
    );
    assert_eq!(version.api_version(), "meta.k8s.io/v1beta1");
}

#[test]
fn controller_manager_gets_metadata_lists_in_json() {
    let version = MetaVersion::V1;
    check(
        "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,\
         application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
        Offer {
            transforms: Transforms::Metadata,
            stream: false,
        },
        Some(Negotiated {
            transform: Transform::PartialObjectMetadataList { version },
            ..PLAIN_JSON
        }),
    );
}

#[test]
fn unknown_forms_are_skipped() {
    check("application/json;as=Table", Offer::RESOURCE, None);
    check(
        "application/json;as=Table;v=v2;g=meta.k8s.io",
        Offer::RESOURCE,
        None,
    );
    check(
        "application/json;as=Chair;v=v1;g=meta.k8s.io",
        Offer::RESOURCE,
        None,
    );
    check(
        "application/json;as=Chair;v=v1;g=meta.k8s.io, */*",
        Offer::RESOURCE,
        Some(PLAIN_JSON),
    );
}

#[test]
fn discovery_clauses_count_in_order() {
    let v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let v2beta1 = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
    let aggregated = |version| {
        Some(Negotiated {
            transform: Transform::AggregatedDiscovery { version },
            ..PLAIN_JSON
        })
    };
    let client_go = format!("{v2},{v2beta1},application/json");
    check(
        &client_go,
        Offer::DISCOVERY,
        aggregated(DiscoveryVersion::V2),
    );
    check(
        &format!("{v2beta1},{v2}"),
        Offer::DISCOVERY,
        aggregated(DiscoveryVersion::V2beta1),
    );
    check(
        &format!("{v2};profile=nopeer"),
        Offer::DISCOVERY,
        aggregated(DiscoveryVersion::V2),
    );
    check("application/json", Offer::DISCOVERY, Some(PLAIN_JSON));
    check(&client_go, Offer::RESOURCE, Some(PLAIN_JSON));
    check("text/html", Offer::DISCOVERY, None);
    let negotiated = negotiate(Some(v2), &Offer::DISCOVERY).unwrap();
    assert_eq!(negotiated.content_type(), v2);
    assert_eq!(DiscoveryVersion::V2.api_version(), "apidiscovery.k8s.io/v2");
}

#[test]
fn streams_are_json() {
    check(
        "application/json;stream=watch",
        Offer::WATCH,
        Some(PLAIN_JSON),
    );
    check("application/json", Offer::WATCH, Some(PLAIN_JSON));
    check("*/*", Offer::WATCH, Some(PLAIN_JSON));
    check(
        "application/yaml, application/json",
        Offer::WATCH,
        Some(PLAIN_JSON),
    );
    check(
        "application/json;stream=watch",
        Offer::RESOURCE,
        Some(PLAIN_JSON),
    );
    check("application/yaml;stream=watch", Offer::RESOURCE, None);
    check("application/json;stream=other", Offer::WATCH, None);
}

#[test]
fn content_type_of_the_answer_has_no_form() {
    assert_eq!(TABLE.content_type(), "application/json");
    assert_eq!(PLAIN_YAML.content_type(), "application/yaml");
}

#[track_caller]
fn check_body(header: Option<&str>, default: Option<&str>, explicit: Option<&str>) {
    let accepted = ["application/json", "application/yaml"];
    assert_eq!(content_type(header, &accepted).ok(), default);
    assert_eq!(explicit_content_type(header, &accepted).ok(), explicit);
}

#[test]
fn bodies_are_json_unless_they_say_otherwise() {
    check_body(None, Some("application/json"), None);
    check_body(Some(" "), Some("application/json"), None);
    let yaml = Some("application/yaml");
    check_body(yaml, yaml, yaml);
    check_body(Some("Application/YAML ; charset=utf-8"), yaml, yaml);
    check_body(Some("text/plain"), None, None);
    check_body(Some("*/*"), None, None);
    assert_eq!(
        content_type(Some("text/plain"), &["application/json"]).unwrap_err(),
        Status::unsupported_media_type(&["application/json"])
    );
}

#[test]
fn people_get_indented_answers() {
    let pretty = negotiate(Some("application/json;pretty=1"), &Offer::RESOURCE).unwrap();
    assert_eq!(
        pretty,
        Negotiated {
            pretty: true,
            ..PLAIN_JSON
        }
    );
    assert!(wants_pretty(Some("true"), None));
    assert!(!wants_pretty(Some("0"), Some("curl/8")));
    assert!(!wants_pretty(Some("yes"), Some("curl/8")));
    assert!(wants_pretty(Some(""), Some("curl/8")));
    assert!(wants_pretty(None, Some("Mozilla/5.0 (X11)")));
    assert!(!wants_pretty(None, Some("kubectl/v1.36")));
    assert!(!wants_pretty(None, None));
}
