//! Files on disk: written to another name first, synced, and then renamed, so that a file under its own name is always whole.
//!
//! Names come from the server only. The first two characters of a name are its folder, so that no folder gets too large to list.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::{
    error::{Error, Result},
    store::StoreError,
};

/// How many characters of a name make its folder.
const FOLDER_CHARS: usize = 2;

/// The folder of all files.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    folder: PathBuf,
}

fn broken(error: io::Error) -> Error {
    Error::Store(StoreError::File(error))
}

impl Disk {
    /// The files in this folder, which is made if it is not there.
    pub(super) fn open(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder).map_err(broken)?;
        Ok(Self { folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        let folder: String = name.chars().take(FOLDER_CHARS).collect();
        self.folder.join(folder).join(name)
    }

    /// Writes a file; returns when it is safe on disk under its name.
    pub(super) async fn write(&self, name: &str, bytes: Vec<u8>) -> Result<()> {
        let path = self.path(name);
        blocking(move || write(&path, &bytes)).await
    }

    /// Reads a file; nothing if there is none.
    pub(super) async fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.path(name);
        blocking(move || match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }

    /// Deletes a file, if it is there.
    pub(super) async fn delete(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        blocking(move || match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Error::Store(StoreError::Lost))?
        .map_err(broken)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)?;
    let unfinished = path.with_extension("unfinished");
    let mut file = File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    // The name itself is on disk only when its folder is, and the folder's own name with the one above.
    File::open(folder)?.sync_all()?;
    match folder.parent() {
        Some(above) => File::open(above)?.sync_all(),
        None => Ok(()),
    }
}
