use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;

fn folder() -> (tempfile::TempDir, Folder) {
    let parent = tempfile::tempdir().unwrap();
    let folder = Folder::open(parent.path().join("cache/mine")).unwrap();
    (parent, folder)
}

#[test]
fn folder_and_files_are_their_owners_alone() {
    let (_parent, folder) = folder();
    folder.write("file", b"one").unwrap();
    folder.write("file", b"two").unwrap();
    assert_eq!(*folder.read("file").unwrap().unwrap(), b"two");
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(&folder.path), 0o700);
    assert_eq!(mode(&folder.path.join("file")), 0o600);
    assert_eq!(
        folder
            .names("")
            .unwrap()
            .iter()
            .filter(|it| it.contains("file"))
            .count(),
        1
    );
    folder.remove("file").unwrap();
    folder.remove("file").unwrap();
    assert_eq!(folder.read("file").unwrap(), None);
}

#[track_caller]
fn check_refused(path: &Path, expected: &str) {
    let error = Folder::open(path.to_owned()).unwrap_err().to_string();
    assert_eq!(error, expected.replace("PATH", &path.display().to_string()));
}

#[test]
fn a_folder_that_others_can_enter_is_refused() {
    for mode in [0o777, 0o770, 0o720, 0o702, 0o755] {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("mine");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        check_refused(
            &path,
            "PATH is accessible to other users, who may have read or changed its content; remove it and log in again",
        );
    }
}

#[test]
fn a_link_or_a_file_in_place_of_the_folder_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let real = parent.path().join("real");
    fs::create_dir(&real).unwrap();
    fs::set_permissions(&real, Permissions::from_mode(0o700)).unwrap();
    let link = parent.path().join("link");
    symlink(&real, &link).unwrap();
    check_refused(&link, "PATH is not a folder");
    let file = parent.path().join("file");
    fs::write(&file, "").unwrap();
    check_refused(&file, "PATH is not a folder");
}

#[test]
fn links_and_open_files_are_not_read() {
    let (parent, folder) = folder();
    let elsewhere = parent.path().join("elsewhere");
    fs::write(&elsewhere, "not ours").unwrap();
    fs::set_permissions(&elsewhere, Permissions::from_mode(0o600)).unwrap();
    symlink(&elsewhere, folder.path.join("file")).unwrap();
    assert!(folder.read("file").is_err());

    // Writing replaces the link and does not change its target.
    folder.write("file", b"ours").unwrap();
    assert_eq!(*folder.read("file").unwrap().unwrap(), b"ours");
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "not ours");

    fs::set_permissions(folder.path.join("file"), Permissions::from_mode(0o644)).unwrap();
    assert!(folder.read("file").is_err());
}

#[tokio::test]
async fn a_lock_is_held_by_one_and_waited_for_by_others() {
    let (_parent, folder) = folder();
    let limit = Duration::from_secs(60);
    let held = folder.lock("lock", limit).await.unwrap();
    let error = folder.lock("lock", Duration::ZERO).await.unwrap_err();
    assert!(
        error.to_string().starts_with("another process has held "),
        "{error}"
    );
    let release = async {
        tokio::task::yield_now().await;
        drop(held);
    };
    let (second, ()) = tokio::join!(folder.lock("lock", limit), release);
    second.unwrap();
}

#[tokio::test]
async fn a_lock_is_not_taken_through_a_link() {
    let (parent, folder) = folder();
    symlink(parent.path().join("elsewhere"), folder.path.join("lock")).unwrap();
    assert!(folder.lock("lock", Duration::ZERO).await.is_err());
    assert!(!parent.path().join("elsewhere").exists());
}
