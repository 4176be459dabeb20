//! The forms of an object, requested by the parameters `as`, `g` and `v` of a media type.

use super::accept::Clause;

/// The form of an object that a client requests.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Transform {
    /// The object as it is.
    #[default]
    None,
    /// Rows and columns.
    Table {
        /// Version of `Table`, and of the metadata in its rows.
        version: MetaVersion,
    },
    /// Only the metadata of one object.
    PartialObjectMetadata {
        /// Version of the form.
        version: MetaVersion,
    },
    /// Only the metadata of each object of a list.
    PartialObjectMetadataList {
        /// Version of the form.
        version: MetaVersion,
    },
    /// All groups in one document.
    AggregatedDiscovery {
        /// Version of the document.
        version: DiscoveryVersion,
    },
}

impl Transform {
    /// Returns the form that a clause requests, if it is known.
    pub(super) fn asked_by(clause: &Clause<'_>) -> Option<Transform> {
        let parameters = ["as", "g", "v"].map(|name| clause.parameter(name));
        if parameters == [None; 3] {
            return Some(Transform::None);
        }
        let [kind, group, version] = parameters;
        match (group?, kind?) {
            ("meta.k8s.io", kind) => Transform::of_objects(kind, MetaVersion::parse(version?)?),
            ("apidiscovery.k8s.io", "APIGroupDiscoveryList") => {
                let version = DiscoveryVersion::parse(version?)?;
                Some(Transform::AggregatedDiscovery { version })
            }
            _ => None,
        }
    }

    fn of_objects(kind: &str, version: MetaVersion) -> Option<Transform> {
        match kind {
            "Table" => Some(Transform::Table { version }),
            "PartialObjectMetadata" => Some(Transform::PartialObjectMetadata { version }),
            "PartialObjectMetadataList" => Some(Transform::PartialObjectMetadataList { version }),
            _ => None,
        }
    }
}

/// A version of `meta.k8s.io`. The versions differ in name only.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum MetaVersion {
    /// `v1`.
    #[default]
    V1,
    /// `v1beta1`.
    V1beta1,
}

impl MetaVersion {
    /// Returns `meta.k8s.io/v1` or `meta.k8s.io/v1beta1`.
    #[must_use]
    pub fn api_version(self) -> &'static str {
        match self {
            MetaVersion::V1 => "meta.k8s.io/v1",
            MetaVersion::V1beta1 => "meta.k8s.io/v1beta1",
        }
    }

    fn parse(version: &str) -> Option<MetaVersion> {
        match version {
            "v1" => Some(MetaVersion::V1),
            "v1beta1" => Some(MetaVersion::V1beta1),
            _ => None,
        }
    }
}

/// A version of `apidiscovery.k8s.io`. The older one is for aggregators before Kubernetes 1.30.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum DiscoveryVersion {
    /// `v2`.
    V2,
    /// `v2beta1`.
    V2beta1,
}

impl DiscoveryVersion {
    /// Returns `apidiscovery.k8s.io/v2` or `apidiscovery.k8s.io/v2beta1`.
    #[must_use]
    pub fn api_version(self) -> &'static str {
        match self {
            DiscoveryVersion::V2 => "apidiscovery.k8s.io/v2",
            DiscoveryVersion::V2beta1 => "apidiscovery.k8s.io/v2beta1",
        }
    }

    fn parse(version: &str) -> Option<DiscoveryVersion> {
        match version {
            "v2" => Some(DiscoveryVersion::V2),
            "v2beta1" => Some(DiscoveryVersion::V2beta1),
            _ => None,
        }
    }
}
