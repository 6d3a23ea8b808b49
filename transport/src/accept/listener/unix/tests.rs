//! Tests of what nobody outside sees: the moments before a socket has its name.

use super::*;

#[test]
fn a_narrow_mode_holds_from_the_first_moment_and_nothing_is_left_of_a_start_that_failed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db.sock");
    let place = Place::of(&path).unwrap();
    let (_socket, placed) = place.make(&UnixOptions::of_mode(0o600)).unwrap();
    assert!(!path.exists(), "it is seen before it is ready");
    let mode = fs::symlink_metadata(placed.path())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    drop(placed);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn names_that_killed_starts_left_are_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db.sock");
    let place = Place::of(&path).unwrap();
    let (_first, placed) = place.make(&UnixOptions::of_mode(0o600)).unwrap();
    let name = placed
        .path()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let (prefix, number) = name.rsplit_once('-').unwrap();
    let number: u32 = number.parse().unwrap();
    for next in number + 1..number + 20 {
        fs::write(dir.path().join(format!("{prefix}-{next}")), "").unwrap();
    }
    place.make(&UnixOptions::of_mode(0o600)).unwrap();
}

#[test]
fn a_name_that_was_taken_meanwhile_is_not_taken_away() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db.sock");
    let place = Place::of(&path).unwrap();
    let (_socket, mut placed) = place.make(&UnixOptions::of_mode(0o600)).unwrap();
    fs::write(&path, "theirs").unwrap();
    let error = place.publish(&mut placed).unwrap_err();
    assert!(matches!(error, BindError::InUse { .. }), "{error}");
    drop(placed);
    assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}
