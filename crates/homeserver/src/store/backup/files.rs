//! The files of backups: one copy of each, and for each backup the list of those that it has, with their digests.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use system::private;

use crate::store::StoreError;

/// The folder of the copies, in the folder of the backups.
pub(super) const FOLDER: &str = "files";
/// How a copy is called until it is whole.
const UNFINISHED: &str = "unfinished";
/// How much of a file is in memory while it is copied, in bytes.
const PIECE_BYTES: usize = 64 << 10;

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Copied {
    /// Its size in bytes.
    pub(super) bytes: u64,
    /// Its SHA-256 digest, in base64.
    sha256: String,
}

/// The files of one backup, by their paths below the folder that they came from.
pub(super) type List = BTreeMap<PathBuf, Copied>;

/// The copies of all backups in one folder.
pub(super) struct Files {
    folder: PathBuf,
}

impl Files {
    pub(super) fn of_backups(folder: &Path) -> Self {
        Self {
            folder: folder.join(FOLDER),
        }
    }

    fn list_path(&self, id: u32) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    /// The files of a backup; nothing if it did not come to its end.
    pub(super) fn list(&self, id: u32) -> Result<Option<List>, StoreError> {
        let file = match File::open(self.list_path(id)) {
            Ok(file) => BufReader::new(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let list = serde_json::from_reader(file).map_err(io::Error::from)?;
        Ok(Some(list))
    }

    fn known(&self, id: u32) -> Result<List, StoreError> {
        let none = || StoreError::Backup(format!("there is no backup #{id} that came to its end"));
        self.list(id)?.ok_or_else(none)
    }

    /// All backups that have a list.
    fn listed(&self) -> Result<Vec<u32>, StoreError> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".json"));
            ids.extend(id.and_then(|id| id.parse::<u32>().ok()));
        }
        Ok(ids)
    }

    /// Copies what is in `from` and is not here yet, and writes the list of it.
    pub(super) fn copy_in(&self, from: &Path, id: u32) -> Result<(), StoreError> {
        private::create_folder(&self.folder)?;
        let mut before = List::new();
        for id in self.listed()? {
            before.extend(self.list(id)?.unwrap_or_default());
        }
        let mut list = List::new();
        for path in below(from)? {
            let known = before
                .get(&path)
                .filter(|_| self.folder.join(&path).exists());
            let copied = match known {
                Some(copied) => copied.clone(),
                // One that an admin deleted meanwhile is nobody's any more.
                None => match self.copy(&from.join(&path), &self.folder.join(&path)) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    copied => copied?,
                },
            };
            list.insert(path, copied);
        }
        self.write_list(id, &list)?;
        Ok(())
    }

    fn write_list(&self, id: u32, list: &List) -> io::Result<()> {
        let unfinished = self.folder.join(UNFINISHED);
        let mut file = BufWriter::new(private::create_file(&unfinished)?);
        serde_json::to_writer(&mut file, list)?;
        file.into_inner()?.sync_all()?;
        fs::rename(unfinished, self.list_path(id))?;
        File::open(&self.folder)?.sync_all()
    }

    /// Copies a file so that its name is there only when it is whole.
    fn copy(&self, from: &Path, to: &Path) -> io::Result<Copied> {
        let unfinished = self.folder.join(UNFINISHED);
        let mut file = private::create_file(&unfinished)?;
        let copied = pass(&mut File::open(from)?, &mut file)?;
        file.sync_all()?;
        let folder = to.parent().unwrap_or(to);
        private::create_folder(folder)?;
        fs::rename(unfinished, to)?;
        File::open(folder)?.sync_all()?;
        Ok(copied)
    }

    /// Fails unless every file of the backup is what it was.
    pub(super) fn verify(&self, id: u32) -> Result<(), StoreError> {
        for (path, copied) in self.known(id)? {
            let now = File::open(self.folder.join(&path))
                .and_then(|mut file| pass(&mut file, &mut io::sink()));
            check(&path, &copied, now)?;
        }
        Ok(())
    }

    /// Writes the files of a backup into a folder.
    pub(super) fn copy_out(&self, id: u32, into: &Path) -> Result<(), StoreError> {
        for (path, copied) in self.known(id)? {
            let now = self.copy(&self.folder.join(&path), &into.join(&path));
            check(&path, &copied, now)?;
        }
        Ok(())
    }

    /// Deletes what none of these backups has.
    pub(super) fn keep_only(&self, ids: &[u32]) -> Result<(), StoreError> {
        if !self.folder.exists() {
            return Ok(());
        }
        let mut kept = BTreeSet::new();
        for id in self.listed()? {
            if ids.contains(&id) {
                kept.extend(self.known(id)?.into_keys());
            } else {
                fs::remove_file(self.list_path(id))?;
            }
        }
        for path in below(&self.folder)? {
            if !kept.contains(&path) {
                fs::remove_file(self.folder.join(path))?;
            }
        }
        Ok(())
    }
}

/// All files in the folders of `folder`, but for those that are still coming.
fn below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if !entry.file_type()?.is_dir() || entry.file_name() == UNFINISHED {
            continue;
        }
        for file in fs::read_dir(entry.path())? {
            found.push(Path::new(&entry.file_name()).join(file?.file_name()));
        }
    }
    Ok(found)
}

/// Passes everything on, and says what it was.
fn pass(from: &mut impl Read, to: &mut impl Write) -> io::Result<Copied> {
    let (mut digest, mut bytes) = (Sha256::new(), 0);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            let sha256 = BASE64_STANDARD_NO_PAD.encode(digest.finalize());
            return Ok(Copied { bytes, sha256 });
        }
        digest.update(&piece[..read]);
        to.write_all(&piece[..read])?;
        bytes += u64::try_from(read).unwrap_or(u64::MAX);
    }
}

fn check(path: &Path, then: &Copied, now: io::Result<Copied>) -> Result<(), StoreError> {
    let path = path.display();
    match now {
        Ok(now) if now == *then => Ok(()),
        Ok(_) => Err(StoreError::Backup(format!("the file {path} is damaged"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(StoreError::Backup(format!("the file {path} is missing")))
        }
        Err(error) => Err(error.into()),
    }
}
