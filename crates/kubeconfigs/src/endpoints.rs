//! The addresses that the credentials of a record may be sent to.
//!
//! They are those that the file of the record would have now. Both come from the same layout
//! ([`crate::file`]), so that a client can compare the address in a file with them.

use api::ext::Kubeconfig;
use api::ext::token::TokenEndpoint;
use api::management::cluster::LOCAL;
use apiserver::request_context::RequestContext;
use async_trait::async_trait;
use machinery::status::Status;
use tokens::exchange::Endpoints;

use crate::file::{self, Credentials, ExecCredentials, FileCluster, FileSpec, Record, Server};
use crate::request::name_of;
use crate::strategy::Kubeconfigs;

#[async_trait]
impl Endpoints for Kubeconfigs {
    async fn endpoints(
        &self,
        cx: &RequestContext,
        record: &Kubeconfig,
        cluster: &str,
    ) -> Result<Vec<TokenEndpoint>, Status> {
        let spec = &record.spec;
        let is_named = spec.wants_all_clusters() || spec.clusters.iter().any(|id| id == cluster);
        let found = match is_named {
            true => self.clusters.find(cluster).await?,
            false => None,
        };
        let mut clusters: Vec<FileCluster> = found.into_iter().map(|read| read.entry).collect();
        if spec.is_managed() {
            self.go_to_managed(&mut clusters)?;
        }
        let parent = record.status.parent_token.as_ref();
        let inherits = |parent| self.origins.validity.is_limited(parent, self.now());
        let is_limited = spec.access.is_some() || parent.is_some_and(inherits);
        self.go_through_gateway(cx, is_limited, &mut clusters)
            .await?;
        let ca_certs = self.settings.ca_certs()?;
        let file = FileSpec {
            record: Record {
                name: name_of(record),
                created: None,
                ttl_secs: spec.ttl,
            },
            server: Server {
                host: &self.server_host(cx)?,
                ca_certs: ca_certs.pem(),
            },
            include_default_entry: cluster == LOCAL && spec.includes_default_entry(),
            clusters: &clusters,
            namespace: "",
            current_cluster: None,
            credentials: &Credentials::Exec(ExecCredentials::default()),
        };
        file::endpoints(&file).map_err(|error| {
            tracing::error!(%error, "the addresses of a kubeconfig cannot be listed");
            Status::internal("error listing the addresses of the kubeconfig")
        })
    }
}
