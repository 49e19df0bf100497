//! Files on disk: received in a folder of their own, synced, and then renamed, so that a file under its own name is always whole.
//!
//! Nothing is held in memory but the piece that has just come. Names come from the server only. The first two characters of a
//! name are its folder, so that no folder gets too large to list.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use futures_util::{Stream, StreamExt};
use system::private;
use tokio::io::AsyncWriteExt;

use super::{Piece, new_media_id};
use crate::{
    error::{Error, Result},
    limits::UPLOAD_PIECE_WAIT_MAX,
    store::StoreError,
};

/// How many characters of a name make its folder.
const FOLDER_CHARS: usize = 2;
/// Where files are that are still coming. What is there when the server starts, a killed one left.
const UNFINISHED: &str = "unfinished";
/// The folder of all files.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    folder: PathBuf,
}

/// A file that is whole and safe, and has no name yet. Dropped, it is gone.
#[derive(Debug)]
pub(super) struct Received {
    path: PathBuf,
    /// How long it is.
    pub(super) bytes: u64,
}

impl Drop for Received {
    fn drop(&mut self) {
        // Once it has its name, nothing is here any more.
        drop(fs::remove_file(&self.path));
    }
}

fn broken(error: io::Error) -> Error {
    Error::Store(StoreError::File(error))
}

impl Disk {
    /// The files in this folder, which is made if it is not there.
    pub(super) fn open(folder: PathBuf) -> Result<Self> {
        let unfinished = folder.join(UNFINISHED);
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(broken)?;
        }
        private::create_folder(&unfinished).map_err(broken)?;
        Ok(Self { folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        let folder: String = name.chars().take(FOLDER_CHARS).collect();
        self.folder.join(folder).join(name)
    }

    /// Takes a file as it comes. What was taken so far is gone if it ends early.
    ///
    /// # Errors
    ///
    /// Those of the pieces; 408 if one does not come in time.
    pub(super) async fn receive(
        &self,
        pieces: impl Stream<Item = Result<Piece>> + Send,
    ) -> Result<Received> {
        let mut received = Received {
            path: self.folder.join(UNFINISHED).join(new_media_id()),
            bytes: 0,
        };
        let mut options = tokio::fs::OpenOptions::from(private::file_options());
        let file = options.write(true).create_new(true).open(&received.path);
        let mut file = file.await.map_err(broken)?;
        let mut pieces = std::pin::pin!(pieces);
        while let Some(piece) = tokio::time::timeout(UPLOAD_PIECE_WAIT_MAX, pieces.next())
            .await
            .map_err(|_| too_slow())?
        {
            let piece = piece?;
            file.write_all(&piece).await.map_err(broken)?;
            received.bytes += u64::try_from(piece.len()).unwrap_or(u64::MAX);
        }
        file.flush().await.map_err(broken)?;
        file.sync_all().await.map_err(broken)?;
        Ok(received)
    }

    /// Gives a file its name; returns when it is safe under it.
    pub(super) async fn keep(&self, received: Received, name: &str) -> Result<()> {
        let path = self.path(name);
        let naming = tokio::task::spawn_blocking(move || rename(&received.path, &path));
        let named = naming.await.map_err(|_| Error::Store(StoreError::Lost))?;
        named.map_err(broken)
    }

    /// Opens a file; nothing if there is none.
    pub(super) async fn open_file(&self, name: &str) -> Result<Option<tokio::fs::File>> {
        found(tokio::fs::File::open(self.path(name)).await)
    }

    /// The same for a thread that may block.
    pub(super) fn open_blocking(&self, name: &str) -> Result<Option<File>> {
        found(File::open(self.path(name)))
    }

    /// Deletes a file, if it is there.
    pub(super) async fn delete(&self, name: &str) -> Result<()> {
        found(tokio::fs::remove_file(self.path(name)).await).map(|_| ())
    }
}

fn found<T>(opened: io::Result<T>) -> Result<Option<T>> {
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(broken(error)),
    }
}

fn too_slow() -> Error {
    Error::refused(
        http::StatusCode::REQUEST_TIMEOUT,
        ruma::api::error::ErrorKind::Unknown,
        "The rest of the file did not come in time",
    )
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    let folder = to.parent().unwrap_or(to);
    private::create_folder(folder)?;
    fs::rename(from, to)?;
    // The name itself is on disk only when its folder is, and the folder's own name with the one above.
    File::open(folder)?.sync_all()?;
    match folder.parent() {
        Some(above) => File::open(above)?.sync_all(),
        None => Ok(()),
    }
}
