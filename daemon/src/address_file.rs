//! `--address-file`: where a program that was told to listen on port 0 writes what it got.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

/// Writes `HOST:PORT` and a newline. The file appears whole or not at all.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(path: &Path, address: SocketAddr) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    std::fs::write(&name, format!("{address}\n"))?;
    std::fs::rename(&name, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_replaces_what_was_there_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("address");
        std::fs::write(&path, "old and longer than the new one\n").unwrap();
        write(&path, "127.0.0.1:3307".parse().unwrap()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "127.0.0.1:3307\n");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
