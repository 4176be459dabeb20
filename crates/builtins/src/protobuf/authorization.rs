//! `authorization/v1`.

use machinery::decode::protobuf::meta::{OBJECT_META, SELECTOR_REQUIREMENT};
use machinery::decode::protobuf::{Message, boolean, message, text, text_list};

/// `SelfSubjectAccessReview`.
pub(crate) static SELF_SUBJECT_ACCESS_REVIEW: Message = Message {
    fields: &[
        message(1, "metadata", &OBJECT_META),
        message(2, "spec", &SELF_SUBJECT_ACCESS_REVIEW_SPEC),
        message(3, "status", &SUBJECT_ACCESS_REVIEW_STATUS),
    ],
};

/// `SubjectAccessReview`.
pub(crate) static SUBJECT_ACCESS_REVIEW: Message = Message {
    fields: &[
        message(1, "metadata", &OBJECT_META),
        message(2, "spec", &SUBJECT_ACCESS_REVIEW_SPEC),
        message(3, "status", &SUBJECT_ACCESS_REVIEW_STATUS),
    ],
};

/// `LocalSubjectAccessReview`.
pub(crate) static LOCAL_SUBJECT_ACCESS_REVIEW: Message = Message {
    fields: &[
        message(1, "metadata", &OBJECT_META),
        message(2, "spec", &SUBJECT_ACCESS_REVIEW_SPEC),
        message(3, "status", &SUBJECT_ACCESS_REVIEW_STATUS),
    ],
};

/// `SelfSubjectRulesReview`.
pub(crate) static SELF_SUBJECT_RULES_REVIEW: Message = Message {
    fields: &[
        message(1, "metadata", &OBJECT_META),
        message(2, "spec", &SELF_SUBJECT_RULES_REVIEW_SPEC),
        message(3, "status", &SUBJECT_RULES_REVIEW_STATUS),
    ],
};

static SELF_SUBJECT_ACCESS_REVIEW_SPEC: Message = Message {
    fields: &[
        message(1, "resourceAttributes", &RESOURCE_ATTRIBUTES),
        message(2, "nonResourceAttributes", &NON_RESOURCE_ATTRIBUTES),
    ],
};

static SUBJECT_ACCESS_REVIEW_SPEC: Message = Message {
    fields: &[
        message(1, "resourceAttributes", &RESOURCE_ATTRIBUTES),
        message(2, "nonResourceAttributes", &NON_RESOURCE_ATTRIBUTES),
        text(3, "user"),
        text(4, "groups").list(),
        text_list(5, "extra").map(),
        text(6, "uid"),
    ],
};

static RESOURCE_ATTRIBUTES: Message = Message {
    fields: &[
        text(1, "namespace"),
        text(2, "verb"),
        text(3, "group"),
        text(4, "version"),
        text(5, "resource"),
        text(6, "subresource"),
        text(7, "name"),
        message(8, "fieldSelector", &SELECTOR_ATTRIBUTES),
        message(9, "labelSelector", &SELECTOR_ATTRIBUTES),
    ],
};

/// `FieldSelectorAttributes`, and also `LabelSelectorAttributes`, which has the same fields.
static SELECTOR_ATTRIBUTES: Message = Message {
    fields: &[
        text(1, "rawSelector"),
        message(2, "requirements", &SELECTOR_REQUIREMENT).list(),
    ],
};

static NON_RESOURCE_ATTRIBUTES: Message = Message {
    fields: &[text(1, "path"), text(2, "verb")],
};

static SUBJECT_ACCESS_REVIEW_STATUS: Message = Message {
    fields: &[
        boolean(1, "allowed"),
        text(2, "reason"),
        text(3, "evaluationError"),
        boolean(4, "denied"),
    ],
};

static SELF_SUBJECT_RULES_REVIEW_SPEC: Message = Message {
    fields: &[text(1, "namespace")],
};

static SUBJECT_RULES_REVIEW_STATUS: Message = Message {
    fields: &[
        message(1, "resourceRules", &RESOURCE_RULE).list(),
        message(2, "nonResourceRules", &NON_RESOURCE_RULE).list(),
        boolean(3, "incomplete"),
        text(4, "evaluationError"),
    ],
};

static RESOURCE_RULE: Message = Message {
    fields: &[
        text(1, "verbs").list(),
        text(2, "apiGroups").list(),
        text(3, "resources").list(),
        text(4, "resourceNames").list(),
    ],
};

static NON_RESOURCE_RULE: Message = Message {
    fields: &[text(1, "verbs").list(), text(2, "nonResourceURLs").list()],
};
