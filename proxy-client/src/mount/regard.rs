//! Who may reach a Unix socket that is listened on already.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};

use tracing::warn;
use transport::accept::UnixOptions;
use transport::error::BindError;

use super::is_abstract;
use crate::error::MountError;

/// A Unix socket at work that others may use now; as before when dropped, unless it is to stay so.
#[derive(Debug)]
pub struct Regarded {
    path: PathBuf,
    mode: u32,
    group: u32,
    is_kept: bool,
}

/// Gives the path of a Unix socket another mode and group. `None` for an abstract name, which has neither.
///
/// # Errors
/// [`MountError`] with what the kernel says.
pub fn regard(path: &Path, options: &UnixOptions) -> Result<Option<Regarded>, MountError> {
    if is_abstract(path) {
        return Ok(None);
    }
    let failed = |doing| {
        move |source| {
            MountError::Unix(BindError::Io {
                path: path.to_owned(),
                doing,
                source,
            })
        }
    };
    let found = std::fs::symlink_metadata(path).map_err(failed("look at"))?;
    let before = Regarded {
        path: path.to_owned(),
        mode: found.mode() & 0o777,
        group: found.gid(),
        is_kept: false,
    };
    let group = options
        .group
        .unwrap_or_else(|| rustix::process::getegid().as_raw());
    lchown(path, None, Some(group)).map_err(failed("give to its group"))?;
    let mode = Permissions::from_mode(options.mode);
    std::fs::set_permissions(path, mode).map_err(failed("set the mode of"))?;
    Ok(Some(before))
}

impl Regarded {
    /// Lets it stay so.
    pub fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Regarded {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        let mode = Permissions::from_mode(self.mode);
        let undone = lchown(&self.path, None, Some(self.group))
            .and_then(|()| std::fs::set_permissions(&self.path, mode));
        if let Err(error) = undone {
            warn!(%error, path = ?self.path, "a socket's mode and group are not as before");
        }
    }
}
