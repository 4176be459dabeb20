//! The order of the crates: each depends only on crates below it in the root `Cargo.toml`.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Returns our crates in the order of the root `Cargo.toml`.
fn listed(root: &Path) -> Vec<String> {
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let (_, listed) = manifest.split_once("# Our crates, in the order").unwrap();
    let (listed, _) = listed.split_once("\n\n").unwrap();
    let names = listed.lines().skip(1);
    names
        .map(|line| line.split_once(" = ").unwrap().0.to_owned())
        .collect()
}

#[test]
fn a_crate_depends_only_on_crates_below_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let listed = listed(root);
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(root)
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let place = |name: &Value| listed.iter().position(|known| name == known.as_str());
    let mut upward = Vec::new();
    let mut arrows = 0;
    for package in metadata["packages"].as_array().unwrap() {
        let Some(from) = place(&package["name"]) else {
            continue;
        };
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = place(&dependency["name"]).filter(|_| dependency["kind"].is_null());
            arrows += usize::from(to.is_some());
            if to.is_some_and(|to| to <= from) {
                upward.push(format!("{} → {}", package["name"], dependency["name"]));
            }
        }
    }
    assert_eq!(upward, [""; 0]);
    assert!(arrows > 40, "{arrows}");
}
