//! Who may use a listener, as it is written: modes, groups, users and networks.

use std::path::Path;

use daemon::settings::Complaints;
use transport::accept::{Callers, Network, UnixOptions};

use crate::settings::Settings;

/// The owner and the group, and nobody else: Google's proxy lets everybody in.
const SOCKET_MODE: u32 = 0o660;
/// Where groups have their numbers.
const GROUPS: &str = "/etc/group";

/// What all Unix sockets have that do not say otherwise.
pub(super) fn socket(settings: &Settings, complaints: &mut Complaints) -> UnixOptions {
    let mode = settings.socket_mode.as_deref();
    let mode = mode.and_then(|text| complaints.check("socket-mode", mode_of(text)));
    let group = settings.socket_group.as_deref();
    let group = group.and_then(|text| complaints.check("socket-group", group_of(text)));
    UnixOptions {
        mode: mode.unwrap_or(SOCKET_MODE),
        group,
        is_long_allowed: settings.long_socket_paths.unwrap_or_default(),
    }
}

/// Who may use the listeners that do not say otherwise.
pub(super) fn callers(settings: &Settings, complaints: &mut Complaints) -> Callers {
    let networks = settings.allow_from.iter();
    Callers {
        uids: settings.allow_uid.clone(),
        gids: settings.allow_gid.clone(),
        networks: networks
            .filter_map(|text| complaints.check("allow-from", text.parse::<Network>()))
            .collect(),
    }
}

/// Permission bits in octal digits.
pub(super) fn mode_of(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let mode = u32::from_str_radix(digits, 8).ok();
    mode.filter(|mode| *mode <= 0o777)
        .filter(|_| digits.bytes().all(|digit| digit.is_ascii_digit()))
        .ok_or_else(|| format!("expected permission bits in octal, such as 0660, found {text:?}"))
}

/// A group's number, or that of its name.
pub(super) fn group_of(text: &str) -> Result<u32, String> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let groups = std::fs::read_to_string(Path::new(GROUPS)).unwrap_or_default();
    named(text, &groups)
        .ok_or_else(|| format!("there is no group {text:?} in {GROUPS}; give its number"))
}

/// Lines are `name:password:gid:member,member`.
fn named(name: &str, groups: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then_some(())?;
        fields.nth(1)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_octal_and_no_more_than_permissions() {
        for (text, mode) in [("0660", 0o660), ("777", 0o777), ("0o600", 0o600)] {
            assert_eq!(mode_of(text), Ok(mode));
        }
        for bad in ["", "rw", "0888", "4755", "-1", "+660"] {
            assert!(mode_of(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_group_is_found_by_name_and_a_number_stands_for_itself() {
        let groups = "root:x:0:\nmysql:x:105:app,web\nbroken\n";
        assert_eq!(named("mysql", groups), Some(105));
        assert_eq!(named("mysq", groups), None);
        assert_eq!(named("broken", groups), None);
        assert_eq!(group_of("4321"), Ok(4321));
        assert!(group_of("no such group").is_err());
    }
}
