//! Implementations of the Kubernetes resource traits for the types of this crate, for typed clients
//! and the server.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{ClusterResourceScope, Metadata, NamespaceResourceScope, Resource};

use crate::ext::{
    self, ClusterAccessReview, ClusterGrant, KeyOperation, Kubeconfig, Token, UserLogin,
};
use crate::management::{self, Cluster, Feature, Node, Setting, User};

/// Implements the two traits. They consist of constants and of access to the metadata, which a
/// function cannot provide: hence a macro.
macro_rules! resource {
    ($kind:ident, $group:ident, $scope:ty) => {
        impl Resource for $kind {
            const API_VERSION: &'static str = $group::API_VERSION;
            const GROUP: &'static str = $group::GROUP;
            const KIND: &'static str = $kind::KIND;
            const VERSION: &'static str = $group::VERSION;
            const URL_PATH_SEGMENT: &'static str = $kind::PLURAL;
            type Scope = $scope;
        }

        impl Metadata for $kind {
            type Ty = ObjectMeta;

            fn metadata(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn metadata_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

resource!(KeyOperation, ext, ClusterResourceScope);
resource!(Kubeconfig, ext, ClusterResourceScope);
resource!(Token, ext, ClusterResourceScope);
resource!(ClusterAccessReview, ext, ClusterResourceScope);
resource!(ClusterGrant, ext, ClusterResourceScope);
resource!(UserLogin, ext, ClusterResourceScope);
resource!(Cluster, management, ClusterResourceScope);
resource!(Feature, management, ClusterResourceScope);
resource!(Setting, management, ClusterResourceScope);
resource!(User, management, ClusterResourceScope);
resource!(Node, management, NamespaceResourceScope);
