//! `core/v1`.

use machinery::decode::protobuf::meta::OBJECT_META;
use machinery::decode::protobuf::{Message, boolean, bytes, message, text, time};

/// `Namespace`.
pub(crate) static NAMESPACE: Message = Message {
    fields: &[
        message(1, "metadata", &OBJECT_META),
        message(2, "spec", &NAMESPACE_SPEC),
        message(3, "status", &NAMESPACE_STATUS),
    ],
};

static NAMESPACE_SPEC: Message = Message {
    fields: &[text(1, "finalizers").list()],
};

static NAMESPACE_STATUS: Message = Message {
    fields: &[
        text(1, "phase"),
        message(2, "conditions", &NAMESPACE_CONDITION).list(),
    ],
};

static NAMESPACE_CONDITION: Message = Message {
    fields: &[
        text(1, "type"),
        text(2, "status"),
        time(4, "lastTransitionTime"),
        text(5, "reason"),
        text(6, "message"),
    ],
};

/// `Secret`.
pub(crate) static SECRET: Message = Message {
    fields: &[
        message(1, "metadata", &OBJECT_META),
        bytes(2, "data").map(),
        text(3, "type"),
        text(4, "stringData").map(),
        boolean(5, "immutable").even_empty(),
    ],
};

/// `ConfigMap`.
pub(crate) static CONFIG_MAP: Message = Message {
    fields: &[
        message(1, "metadata", &OBJECT_META),
        text(2, "data").map(),
        bytes(3, "binaryData").map(),
        boolean(4, "immutable").even_empty(),
    ],
};
