//! What must be there before the first request: made where it is missing, left alone where it is not.

use api::management::{
    Cluster, ClusterSpec, Feature, FeatureSpec, FeatureStatus, Setting, cluster, feature, setting,
};
use apiserver::registry::Registry;
use machinery::meta::ObjectMeta;
use machinery::status::Status;

/// Makes the `local` cluster, the built-in settings and the features, and keeps what the server owns in them up to date. `defaults` are those
/// of this server, by the names of settings; they stand in place of the built-in ones. Where nothing changed, nothing is written.
///
/// # Errors
/// Where the store does not answer.
pub async fn run(
    clusters: &Registry<Cluster>,
    settings: &Registry<Setting>,
    features: &Registry<Feature>,
    defaults: &[(&str, &str)],
) -> Result<(), Status> {
    clusters.ensure(local_cluster()).await?;
    for built_in in setting::BUILT_IN {
        let own = defaults.iter().find(|(name, _)| *name == built_in.name);
        let default = own.map_or(built_in.default, |(_, default)| *default);
        set_default(settings, built_in.name, default).await?;
    }
    features.ensure(ext_kubeconfigs()).await?;
    Ok(())
}

/// Sets the default of a setting, which only the server does.
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
        .ensure_with(fresh, |setting| {
            let changed = setting.default != default;
            default.clone_into(&mut setting.default);
            changed
        })
        .await
}

/// The cluster that the server lives in, as it begins.
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

/// The switch of the kind that all is about, as it begins: on.
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

/// Metadata of an object of which only the name is known.
pub fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}
