//! What a daemon gives up at its start, and the one thing that it takes.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, setrlimit};
use tracing::debug;

/// No core dumps, no reading of our memory by other processes of the same user, as many open files as allowed.
///
/// Memory holds private keys and tokens. None of this is worth not starting for, so failures are only logged.
pub fn harden() {
    let no_core = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = setrlimit(Resource::Core, no_core) {
        debug!(%error, "core dumps could not be switched off");
    }
    if let Err(error) = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        debug!(%error, "memory could not be closed to other processes");
    }
    let files = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: files.maximum,
        maximum: files.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        debug!(%error, "the limit of open files could not be raised");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardened_process_dumps_no_core_and_may_open_all_files_allowed() {
        harden();
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
        let files = getrlimit(Resource::Nofile);
        assert_eq!(files.current, files.maximum);
        let dumpable = rustix::process::dumpable_behavior().unwrap();
        assert_eq!(dumpable, DumpableBehavior::NotDumpable);
    }
}
