//! `authentication/v1`.

use machinery::decode::protobuf::meta::OBJECT_META;
use machinery::decode::protobuf::{Message, message, text, text_list};

/// `SelfSubjectReview`.
pub(crate) static SELF_SUBJECT_REVIEW: Message = Message {
    fields: &[
        message(1, "metadata", &OBJECT_META),
        message(2, "status", &SELF_SUBJECT_REVIEW_STATUS),
    ],
};

static SELF_SUBJECT_REVIEW_STATUS: Message = Message {
    fields: &[message(1, "userInfo", &USER_INFO)],
};

static USER_INFO: Message = Message {
    fields: &[
        text(1, "username"),
        text(2, "uid"),
        text(3, "groups").list(),
        text_list(4, "extra").map(),
    ],
};
