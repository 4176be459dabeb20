//! Objects that must exist before the first request. Missing ones are created, existing ones are
//! kept.

use api::management::{
    Cluster, ClusterSpec, Feature, FeatureSpec, FeatureStatus, Setting, cluster, feature, setting,
};
use apiserver::registry::Registry;
use machinery::meta::ObjectMeta;
use machinery::status::Status;

/// Creates the `local` cluster, the built-in settings and the features, and keeps the fields that
/// the server owns up to date. `defaults` are the defaults of this server by the names of settings;
/// they replace the built-in ones. Nothing is written if nothing changed.
///
/// # Errors
/// The store is unavailable.
pub async fn run(
    clusters: &Registry<Cluster>,
    settings: &Registry<Setting>,
    features: &Registry<Feature>,
    defaults: &[(&str, &str)],
) -> Result<(), Status> {
    clusters.store().ensure(local_cluster()).await?;
    for built_in in setting::BUILT_IN {
        let own = defaults.iter().find(|(name, _)| *name == built_in.name);
        let default = own.map_or(built_in.default, |(_, default)| *default);
        set_default(settings, built_in.name, default).await?;
    }
    features.store().ensure(ext_kubeconfigs()).await?;
    Ok(())
}

/// Sets the default of a setting. Only the server does this.
async fn set_default(
    settings: &Registry<Setting>,
    name: &str,
    default: &str,
) -> Result<(), Status> {
    let fresh = Setting {
        metadata: named(name),
        default: default.to_owned(),
        ..Setting::default()
    };
    settings
        .store()
        .ensure_with(fresh, |setting| {
            let changed = setting.default != default;
            default.clone_into(&mut setting.default);
            changed
        })
        .await
}

/// Returns the initial object of the cluster that the server runs in.
pub fn local_cluster() -> Cluster {
    Cluster {
        metadata: named(cluster::LOCAL),
        spec: ClusterSpec {
            display_name: cluster::LOCAL.to_owned(),
            ..ClusterSpec::default()
        },
        ..Cluster::default()
    }
}

/// Returns the initial feature of kubeconfigs, which is on.
pub fn ext_kubeconfigs() -> Feature {
    Feature {
        metadata: named(feature::EXT_KUBECONFIGS),
        spec: FeatureSpec::default(),
        status: FeatureStatus {
            dynamic: true,
            default: true,
            description: "Serve kubeconfigs.ext.cattle.io.".to_owned(),
            locked_value: None,
        },
    }
}

/// Returns metadata with this name and nothing else.
pub fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}
