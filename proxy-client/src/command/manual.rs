//! `man`: manual pages, made from the same words as `--help`.

use std::path::Path;

use clap::Command;
use daemon::exit::Exit;

use super::say;

/// Writes the pages; a folder that is not there is not made.
pub(super) fn write(command: Command, folder: &Path) -> Exit {
    match clap_mangen::generate_to(command, folder) {
        Ok(()) => Exit::Success,
        Err(error) => {
            let folder = folder.display();
            say::complain(&format!("cannot write manual pages to {folder}: {error}"));
            Exit::Failure
        }
    }
}
