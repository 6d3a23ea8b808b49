//! Whether a file of secrets can be read by others than who should.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

const OTHERS: u32 = 0o007;
const GROUP: u32 = 0o070;
const GROUP_READS: u32 = 0o040;
const WRITES: u32 = 0o222;

/// The file's mode, if somebody may read or change it who should not.
///
/// A group may read what root shares with it (`root:service 0640`), and what nobody may write: so systemd and
/// Kubernetes hand secrets over to a service. What is not a file, as a pipe, is its maker's business.
pub fn exposed(about: &Metadata) -> Option<u32> {
    let mode = about.mode() & 0o7777;
    (about.is_file() && is_exposed(mode, about.uid())).then_some(mode)
}

const fn is_exposed(mode: u32, owner: u32) -> bool {
    if mode & OTHERS != 0 {
        return true;
    }
    match mode & GROUP {
        0 => false,
        GROUP_READS => owner != 0 && mode & WRITES != 0,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_for_its_owner_or_for_the_group_that_it_was_handed_to() {
        const ROOT: u32 = 0;
        const SERVICE: u32 = 990;
        for (mode, owner, expected) in [
            (0o600, SERVICE, false),
            (0o600, ROOT, false),
            (0o400, SERVICE, false),
            (0o700, SERVICE, false),
            // As systemd hands credentials over, and Kubernetes secrets with `defaultMode: 0400` and a group.
            (0o440, ROOT, false),
            (0o440, SERVICE, false),
            (0o640, ROOT, false),
            (0o640, SERVICE, true),
            (0o660, ROOT, true),
            (0o620, ROOT, true),
            (0o610, ROOT, true),
            (0o644, ROOT, true),
            (0o604, SERVICE, true),
            (0o602, SERVICE, true),
            (0o444, ROOT, true),
            (0o777, SERVICE, true),
        ] {
            assert_eq!(is_exposed(mode, owner), expected, "{mode:o} of {owner}");
        }
    }
}
