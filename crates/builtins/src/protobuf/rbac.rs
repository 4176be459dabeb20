//! `rbac/v1`.

use machinery::decode::protobuf::meta::{LABEL_SELECTOR, OBJECT_META};
use machinery::decode::protobuf::{Message, message, text};

/// `ClusterRole`.
pub(crate) static CLUSTER_ROLE: Message = Message {
    fields: &[
        message(1, "metadata", &OBJECT_META),
        message(2, "rules", &POLICY_RULE).list(),
        message(3, "aggregationRule", &AGGREGATION_RULE),
    ],
};

/// `Role`.
pub(crate) static ROLE: Message = Message {
    fields: &[
        message(1, "metadata", &OBJECT_META),
        message(2, "rules", &POLICY_RULE).list(),
    ],
};

/// `ClusterRoleBinding`.
pub(crate) static CLUSTER_ROLE_BINDING: Message = Message {
    fields: &[
        message(1, "metadata", &OBJECT_META),
        message(2, "subjects", &SUBJECT).list(),
        message(3, "roleRef", &ROLE_REF),
    ],
};

/// `RoleBinding`.
pub(crate) static ROLE_BINDING: Message = Message {
    fields: &[
        message(1, "metadata", &OBJECT_META),
        message(2, "subjects", &SUBJECT).list(),
        message(3, "roleRef", &ROLE_REF),
    ],
};

static POLICY_RULE: Message = Message {
    fields: &[
        text(1, "verbs").list(),
        text(2, "apiGroups").list(),
        text(3, "resources").list(),
        text(4, "resourceNames").list(),
        text(5, "nonResourceURLs").list(),
    ],
};

static AGGREGATION_RULE: Message = Message {
    fields: &[message(1, "clusterRoleSelectors", &LABEL_SELECTOR).list()],
};

static SUBJECT: Message = Message {
    fields: &[
        text(1, "kind"),
        text(2, "apiGroup"),
        text(3, "name"),
        text(4, "namespace"),
    ],
};

static ROLE_REF: Message = Message {
    fields: &[
        text(1, "apiGroup").even_empty(),
        text(2, "kind"),
        text(3, "name"),
    ],
};
