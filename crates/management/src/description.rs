//! The parts that the descriptions of the kinds of this group share.

use api::management;
use apiserver::description::{Description, KindSchema, Scope, Verb};

/// Describes a cluster-scoped kind of the group.
pub(crate) fn describe(
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    schema: KindSchema,
) -> Description {
    Description {
        group: management::GROUP,
        version: management::VERSION,
        kind,
        plural,
        singular,
        short_names: &[],
        categories: &[],
        scope: Scope::Cluster,
        verbs: Verb::ALL,
        subresources: &[],
        schema,
    }
}
