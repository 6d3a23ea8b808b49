//! Who may reach a Unix socket, and which paths it may have.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::BindError;

/// Bytes of `sun_path` without its closing NUL (unix(7)).
pub(super) const MAX_PATH: usize = 107;
/// What marks an abstract name, which stands in no folder (unix(7)); NUL on the wire.
pub(super) const ABSTRACT: char = '@';

/// Who may reach a Unix socket, and how its path may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnixOptions {
    /// Permission bits.
    pub mode: u32,
    /// The group, where it is not the process's own.
    pub group: Option<u32>,
    /// Whether the path may be longer than the kernel lets applications name it: they reach it by a relative path
    /// or through a symbolic link to its folder.
    pub is_long_allowed: bool,
}

impl UnixOptions {
    /// For this process's own user, group or everybody, as the bits say.
    pub const fn of_mode(mode: u32) -> Self {
        Self {
            mode,
            group: None,
            is_long_allowed: false,
        }
    }

    /// Whether applications can name the path, as far as that shows without a look at its folder.
    ///
    /// # Errors
    /// [`BindError::TooLong`], with a path that fits, or [`BindError::Nameless`].
    pub fn check(&self, path: &Path) -> Result<(), BindError> {
        let name = path.as_os_str().as_bytes();
        let (length, is_abstract) = match name.strip_prefix(&[ABSTRACT as u8]) {
            Some(name) => (name.len(), true),
            None => (name.len(), false),
        };
        if is_abstract && length == 0 {
            return Err(BindError::Nameless);
        }
        if length > MAX_PATH && (is_abstract || !self.is_long_allowed) {
            return Err(too_long(path, length, MAX_PATH));
        }
        Ok(())
    }
}

pub(super) fn too_long(path: &Path, length: usize, limit: usize) -> BindError {
    // The instance's own name is the last part of `project:region:instance`.
    let name = path.file_name().unwrap_or_default().as_bytes();
    let last = name.rsplit(|byte| *byte == b':').next().unwrap_or(name);
    let last: String = String::from_utf8_lossy(last).chars().take(32).collect();
    BindError::TooLong {
        path: path.to_owned(),
        length,
        limit,
        shorter: Path::new("/run/csql").join(last),
    }
}
