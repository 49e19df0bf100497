//! Files that only their owner reads: folders of mode 0700 and files of mode 0600, whatever the umask is.
//!
//! A database holds password hashes, tokens and keys, and libraries that make its files ask for no mode. So the umask of the process
//! is set at start, and what an earlier version has left open is closed when it is opened.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use nix::sys::stat::{Mode, umask};

/// Folders: everything for the owner.
pub const FOLDER_MODE: u32 = 0o700;
/// Files: read and write for the owner.
pub const FILE_MODE: u32 = 0o600;
/// What nobody but the owner may do.
const OTHERS: u32 = 0o077;

/// Makes everything that this process creates from now on private, unless it is given a mode later.
pub fn restrict_umask() {
    umask(Mode::from_bits_truncate(0o077));
}

/// Makes a folder of mode 0700, with those above it that are missing. One that exists is left as it is.
pub fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(path)
}

/// How to make a file of mode 0600.
pub fn file_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(FILE_MODE);
    options
}

/// Makes an empty file of mode 0600 for writing, or empties the one that is there.
pub fn create_file(path: &Path) -> io::Result<File> {
    file_options()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
}

/// Takes all rights of others from a folder and everything in it, and logs it once. Does nothing if there is no such folder, or
/// others have no rights to it: then they reach nothing inside. Links are not followed.
///
/// # Errors
///
/// If a mode cannot be changed.
pub fn tighten(folder: &Path) -> io::Result<()> {
    let open = match fs::metadata(folder) {
        Ok(found) => found.permissions().mode() & OTHERS != 0,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !open {
        return Ok(());
    }
    let changed = tighten_contents(folder)?;
    // Last: a start that dies before this does all of it again.
    close(folder)?;
    tracing::warn!(
        folder = %folder.display(),
        entries = changed + 1,
        "folder was readable by other users of this machine; its modes are now 0700 and 0600"
    );
    Ok(())
}

/// The same for what is in the folder only: the folder itself may be shared with others. Gives how many modes were changed.
pub fn tighten_contents(folder: &Path) -> io::Result<usize> {
    let mut changed = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        changed += match tighten_entry(&entry.path()) {
            // A file may go while the folder is walked.
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            outcome => outcome?,
        };
    }
    Ok(changed)
}

/// One file, or one folder and everything in it. Gives how many modes were changed.
pub fn tighten_entry(path: &Path) -> io::Result<usize> {
    let found = fs::symlink_metadata(path)?;
    let mut changed = 0;
    if found.is_dir() {
        changed += tighten_contents(path)?;
    }
    // A socket has the mode that its configuration says.
    let ours = found.is_dir() || found.is_file();
    if ours && found.permissions().mode() & OTHERS != 0 {
        close(path)?;
        changed += 1;
    }
    Ok(changed)
}

fn close(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS & 0o7777))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn open_folder_is_closed_with_everything_in_it_but_links_and_sockets() {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("database");
        fs::create_dir_all(folder.join("media/aa")).unwrap();
        let outside = above.path().join("outside");
        for file in [&folder.join("LOG"), &folder.join("media/aa/x"), &outside] {
            fs::write(file, "").unwrap();
            fs::set_permissions(file, Permissions::from_mode(0o644)).unwrap();
        }
        for inner in ["media/aa", "media", ""] {
            fs::set_permissions(folder.join(inner), Permissions::from_mode(0o755)).unwrap();
        }
        symlink(&outside, folder.join("link")).unwrap();
        let socket = folder.join("socket");
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        fs::set_permissions(&socket, Permissions::from_mode(0o660)).unwrap();

        tighten(&folder).unwrap();
        for (path, expected) in [
            (folder.clone(), 0o700),
            (folder.join("media"), 0o700),
            (folder.join("media/aa"), 0o700),
            (folder.join("media/aa/x"), 0o600),
            (folder.join("LOG"), 0o600),
            (socket, 0o660),
            (outside, 0o644),
        ] {
            assert_eq!(mode(&path), expected, "{}", path.display());
        }
        tighten(&folder).unwrap();
        tighten(&above.path().join("missing")).unwrap();
    }

    #[test]
    fn new_folders_and_files_are_private_at_once() {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("a/b");
        create_folder(&folder).unwrap();
        create_folder(&folder).unwrap();
        drop(create_file(&folder.join("file")).unwrap());
        assert_eq!(mode(&above.path().join("a")), 0o700);
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&folder.join("file")), 0o600);
    }
}
