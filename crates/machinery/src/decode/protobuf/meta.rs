//! The messages of metav1 (`k8s.io/apimachinery`, `pkg/apis/meta/v1/generated.proto`).

use super::{Message, boolean, fields_v1, integer, message, text, time};

/// `ObjectMeta`.
pub static OBJECT_META: Message = Message {
    fields: &[
        text(1, "name"),
        text(2, "generateName"),
        text(3, "namespace"),
        text(4, "selfLink"),
        text(5, "uid"),
        text(6, "resourceVersion"),
        integer(7, "generation"),
        time(8, "creationTimestamp"),
        time(9, "deletionTimestamp"),
        integer(10, "deletionGracePeriodSeconds").even_empty(),
        text(11, "labels").map(),
        text(12, "annotations").map(),
        message(13, "ownerReferences", &OWNER_REFERENCE).list(),
        text(14, "finalizers").list(),
        message(17, "managedFields", &MANAGED_FIELDS_ENTRY).list(),
    ],
};

/// `OwnerReference`.
pub static OWNER_REFERENCE: Message = Message {
    fields: &[
        text(1, "kind"),
        text(3, "name"),
        text(4, "uid"),
        text(5, "apiVersion"),
        boolean(6, "controller").even_empty(),
        boolean(7, "blockOwnerDeletion").even_empty(),
    ],
};

/// `ManagedFieldsEntry`.
pub static MANAGED_FIELDS_ENTRY: Message = Message {
    fields: &[
        text(1, "manager"),
        text(2, "operation"),
        text(3, "apiVersion"),
        time(4, "time"),
        text(6, "fieldsType"),
        fields_v1(7, "fieldsV1"),
        text(8, "subresource"),
    ],
};

/// `LabelSelector`.
pub static LABEL_SELECTOR: Message = Message {
    fields: &[
        text(1, "matchLabels").map(),
        message(2, "matchExpressions", &SELECTOR_REQUIREMENT).list(),
    ],
};

/// `LabelSelectorRequirement`, and `FieldSelectorRequirement`, which has the same fields.
pub static SELECTOR_REQUIREMENT: Message = Message {
    fields: &[
        text(1, "key"),
        text(2, "operator"),
        text(3, "values").list(),
    ],
};

/// `DeleteOptions`.
pub static DELETE_OPTIONS: Message = Message {
    fields: &[
        integer(1, "gracePeriodSeconds").even_empty(),
        message(2, "preconditions", &PRECONDITIONS),
        boolean(3, "orphanDependents").even_empty(),
        text(4, "propagationPolicy").even_empty(),
        text(5, "dryRun").list(),
        boolean(6, "ignoreStoreReadErrorWithClusterBreakingPotential").even_empty(),
    ],
};

/// `Preconditions`.
pub static PRECONDITIONS: Message = Message {
    fields: &[
        text(1, "uid").even_empty(),
        text(2, "resourceVersion").even_empty(),
    ],
};
