//! A socket in the file system: bound, shut to all who may not use it, and taken away.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::Path,
};

use tokio::net::{UnixListener, UnixStream};

use crate::config::Mode;

/// Binds the socket. One that nobody answers on is what a killed server left, and makes room.
pub(super) async fn bind(path: &Path, mode: Mode) -> io::Result<UnixListener> {
    let is_socket = fs::metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket && UnixStream::connect(path).await.is_err() {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode.0))?;
    Ok(listener)
}

/// Takes the socket away. Nobody misses one that is gone already.
pub(super) fn remove(path: &Path) {
    drop(fs::remove_file(path));
}
