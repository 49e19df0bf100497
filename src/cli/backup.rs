//! `backup`: copies of the embedded homeserver's database, made, checked and brought back while it does not run.

use std::{
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use homeserver::{Store, StoreError, backup};

use super::{
    BackupArgs, BackupCommand, ExitCode, Failure, Files, Outcome,
    homeserver::{config_files, load},
    print_out,
};
use crate::{app, config::Config};

/// Does what the command line says about backups.
pub(super) async fn backup(files: &Files, args: &BackupArgs) -> Outcome {
    let settings = settings(files, args)?;
    let folder = folder(args, &settings)?;
    let database = settings.database.database_path.clone();
    match &args.what {
        BackupCommand::Create => {
            let keep = settings.database.database_backups_to_keep;
            let made =
                tokio::task::spawn_blocking(move || create(&settings, &database, &folder, keep));
            let id = made
                .await
                .map_err(|error| Failure::new(ExitCode::Other, error))??;
            print_out(&format!("Created database backup #{id}.\n"));
        }
        BackupCommand::List => {
            for kept in listed(&folder)? {
                let seconds = u64::try_from(kept.time).unwrap_or_default();
                let time = humantime::format_rfc3339(UNIX_EPOCH + Duration::from_secs(seconds));
                let (id, bytes, files) = (kept.id, kept.bytes, kept.files);
                print_out(&format!("#{id}  {time}  {bytes} bytes, {files} files\n"));
            }
        }
        BackupCommand::Verify { id } => {
            let id = chosen(&folder, *id)?;
            backup::verify(&folder, id).map_err(|error| failed(&error))?;
            print_out(&format!("Backup #{id} is whole.\n"));
        }
        BackupCommand::Restore { id, into } => {
            let (id, into) = (chosen(&folder, *id)?, into.clone().unwrap_or(database));
            backup::restore(&folder, Some(id), &into).map_err(|error| failed(&error))?;
            let into = into.display();
            print_out(&format!(
                "Restored backup #{id} into {into}. The homeserver can be started.\n"
            ));
        }
    }
    Ok(())
}

/// The homeserver that is meant: that of the bridge, unless one of its own is named.
fn settings(files: &Files, args: &BackupArgs) -> Result<homeserver::Config, Failure> {
    let sources = &args.sources;
    let alone = !config_files(sources).is_empty() || !sources.option.is_empty();
    if alone || !files.config().exists() {
        return load(sources).map(|(config, _)| config);
    }
    let config = Config::load(files.config())?;
    if !config.homeserver.is_embedded() {
        let why =
            "the homeserver of this configuration is external: its own program makes its backups";
        return Err(Failure::new(ExitCode::Usage, why));
    }
    Ok(app::settings(&config)?)
}

fn folder(args: &BackupArgs, settings: &homeserver::Config) -> Result<PathBuf, Failure> {
    let folder = args.folder.clone();
    let folder = folder.or_else(|| settings.database.database_backup_path.clone());
    folder.ok_or_else(|| {
        let why = "there is no place for backups: give --folder DIR, or set `database_backup_path`";
        Failure::new(ExitCode::Usage, why)
    })
}

fn create(
    settings: &homeserver::Config,
    database: &Path,
    folder: &Path,
    keep: usize,
) -> Result<u32, Failure> {
    if !database.exists() {
        let why = format_args!("there is no database in {}", database.display());
        return Err(Failure::new(ExitCode::Other, why));
    }
    let store = Store::open(database, &settings.server_name).map_err(|error| failed(&error))?;
    backup::create(&store, folder, keep).map_err(|error| failed(&error))
}

fn listed(folder: &Path) -> Result<Vec<backup::Backup>, Failure> {
    let none = || {
        let why = format_args!("there is no backup in {}", folder.display());
        Failure::new(ExitCode::Other, why)
    };
    // Looking must not make the folder.
    if !folder.exists() {
        return Err(none());
    }
    let backups = backup::list(folder).map_err(|error| failed(&error))?;
    if backups.is_empty() {
        return Err(none());
    }
    Ok(backups)
}

/// The backup with this number, or the newest.
fn chosen(folder: &Path, id: Option<u32>) -> Result<u32, Failure> {
    let backups = listed(folder)?;
    let ids: Vec<_> = backups.iter().map(|backup| backup.id).collect();
    let chosen = match id {
        Some(id) => ids.contains(&id).then_some(id),
        None => ids.iter().max().copied(),
    };
    chosen.ok_or_else(|| {
        let ids: Vec<_> = ids.iter().map(|id| format!("#{id}")).collect();
        let why = format_args!("there is no such backup; there are {}", ids.join(", "));
        Failure::new(ExitCode::Usage, why)
    })
}

/// The whole story: the database's own words are in the cause.
fn failed(error: &StoreError) -> Failure {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    Failure::new(
        ExitCode::Other,
        format_args!("{error}{}", cause.unwrap_or_default()),
    )
}
