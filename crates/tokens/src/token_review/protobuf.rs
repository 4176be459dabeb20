//! The protobuf form of the request (`k8s.io/api/authentication/v1/generated.proto`), which typed
//! clients send. A status that a client sends is ignored.

use machinery::decode::protobuf::meta::OBJECT_META;
use machinery::decode::protobuf::{Message, message, text};

/// `TokenReview`, in both versions.
pub(super) static TOKEN_REVIEW: Message = Message {
    fields: &[
        message(1, "metadata", &OBJECT_META),
        message(2, "spec", &TOKEN_REVIEW_SPEC),
    ],
};

static TOKEN_REVIEW_SPEC: Message = Message {
    fields: &[text(1, "token"), text(2, "audiences").list()],
};
