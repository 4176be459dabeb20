//! The krew manifest of the plugin, as a release fills it in.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

const PLATFORMS: [[&str; 2]; 4] = [
    ["linux", "amd64"],
    ["linux", "arm64"],
    ["darwin", "amd64"],
    ["darwin", "arm64"],
];

/// SHA-256 of `abc` (FIPS 180-4).
const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// Creates the archives of a release, all with the same content.
fn archives() -> TempDir {
    let folder = TempDir::new().unwrap();
    for [os, arch] in PLATFORMS {
        let name = format!("kubectl-kubeconfig-{os}-{arch}.tar.gz");
        fs::write(folder.path().join(name), "abc").unwrap();
    }
    folder
}

fn manifest(version: &str, folder: &Path) -> Output {
    manifest_at(version, "https://example.com/it", folder)
}

fn manifest_at(version: &str, homepage: &str, folder: &Path) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hack/krew-manifest.sh");
    let mut command = Command::new(script);
    command.args([version, homepage, "https://example.com/v1"]);
    let here = folder.join("here");
    fs::create_dir_all(&here).unwrap();
    command.arg(folder).current_dir(here).output().unwrap()
}

#[test]
fn the_manifest_names_every_archive_with_its_hash() {
    let made = manifest("v1.2.3", archives().path());
    assert!(made.status.success(), "{made:?}");
    let made: Value = serde_saphyr::from_slice(&made.stdout).unwrap();
    let platforms = PLATFORMS.map(|[os, arch]| {
        json!({
            "selector": { "matchLabels": { "os": os, "arch": arch } },
            "uri": format!("https://example.com/v1/kubectl-kubeconfig-{os}-{arch}.tar.gz"),
            "sha256": HASH,
            "bin": "kubectl-kubeconfig",
        })
    });
    let text = |field: &str| made["spec"][field].as_str().unwrap();
    let expected = json!({
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": { "name": "kubeconfig" },
        "spec": {
            "version": "v1.2.3",
            "homepage": "https://example.com/it",
            "shortDescription": text("shortDescription"),
            "description": text("description"),
            "caveats": text("caveats"),
            "platforms": platforms,
        },
    });
    assert_eq!(made, expected);
    // The rules of krew-index.
    assert!(text("shortDescription").len() <= 50);
    assert!(text("description").lines().all(|line| line.len() <= 80));
}

#[test]
fn a_release_that_is_not_whole_has_no_manifest() {
    let folder = archives();
    assert_eq!(manifest("1.2.3", folder.path()).status.code(), Some(2));
    fs::remove_file(folder.path().join("kubectl-kubeconfig-darwin-arm64.tar.gz")).unwrap();
    assert_eq!(manifest("v1.2.3", folder.path()).status.code(), Some(1));
}

#[test]
fn a_version_is_one_and_an_address_is_written_as_it_is() {
    let folder = archives();
    for version in [
        "v1.2.3|;e touch X #",
        "v1.2.3\ne touch X",
        "v1.2.3 ",
        "v1.2.3;touch${IFS}X",
        "v1.2.3-$(touch X)",
        "xv1.2.3",
        "v1.2",
    ] {
        assert_eq!(
            manifest(version, folder.path()).status.code(),
            Some(2),
            "{version}"
        );
    }
    for homepage in [
        "http://example.com",
        "https://example.com/|;e touch X #",
        "https://a b",
    ] {
        let made = manifest_at("v1.2.3", homepage, folder.path());
        assert_eq!(made.status.code(), Some(2), "{homepage}");
    }
    let here = fs::read_dir(folder.path().join("here")).unwrap();
    assert_eq!(here.count(), 0, "nothing was run");
    let homepage = "https://example.com/?a=1&b=2";
    for version in ["v1.2.3", "v1.2.3-rc.1", "v1.2.3-rc.1+build.5"] {
        let made = manifest_at(version, homepage, folder.path());
        let made: Value = serde_saphyr::from_slice(&made.stdout).unwrap();
        assert_eq!(made["spec"]["version"], version);
        assert_eq!(made["spec"]["homepage"], homepage);
    }
}
