//! Commands about the server itself.

use std::{fmt::Write, path::Path, sync::atomic::Ordering};

use super::{answer::block, command::ServerCommand};
use crate::{
    blocking,
    services::Services,
    software::{FEATURES, program},
    store::backup,
};

#[allow(clippy::too_many_lines, reason = "one arm for each command")]
pub(super) async fn run(services: &Services, command: ServerCommand) -> Result<String, String> {
    match command {
        ServerCommand::Uptime => {
            let seconds = std::time::Duration::from_secs(services.started.elapsed().as_secs());
            Ok(humantime::format_duration(seconds).to_string())
        }
        ServerCommand::ShowConfig => serde_yaml::to_string(&services.config)
            .map(|yaml| block(&yaml))
            .map_err(|error| error.to_string()),
        // There is none that can be switched off.
        ServerCommand::ListFeatures {
            available,
            enabled,
            comma,
        } => Ok(if comma {
            FEATURES.join(",")
        } else if available != enabled {
            block(&FEATURES.join("\n"))
        } else {
            let lines = FEATURES.iter().map(|name| format!("✅ {name} [enabled]"));
            lines.collect::<Vec<_>>().join("\n")
        }),
        ServerCommand::ClearCaches => {
            services.rooms.clear_cache();
            Ok("Caches cleared.".to_owned())
        }
        ServerCommand::MemoryUsage => backup::memory(&services.store)
            .map(|bytes| format!("The tables keep {bytes} bytes in memory."))
            .map_err(|error| error.to_string()),
        ServerCommand::BackupDatabase => {
            let keep = services.config.database.database_backups_to_keep;
            let (store, path) = (services.store.clone(), folder(services)?.to_owned());
            let made = blocking::run(move || backup::create(&store, &path, keep));
            let made = made.await.map_err(|error| error.to_string())?;
            made.map(|id| format!("Created database backup #{id}."))
                .map_err(|error| error.to_string())
        }
        ServerCommand::ListBackups => backups(folder(services)?),
        ServerCommand::VerifyBackup { id } => {
            let folder = folder(services)?;
            let id = match id {
                Some(id) => id,
                None => newest(folder)?,
            };
            backup::verify(folder, id)
                .map(|()| format!("Backup #{id} is whole."))
                .map_err(|error| error.to_string())
        }
        ServerCommand::DeleteBackups { keep } => backup::purge(folder(services)?, keep)
            .map(|()| "Old backups are deleted.".to_owned())
            .map_err(|error| error.to_string()),
        ServerCommand::AdminNotice { message } => {
            let text = message.join(" ");
            let said = super::command_listener::send_notice(services, &text).await;
            said.map(|()| "Notice was sent to #admins".to_owned())
                .map_err(|error| error.to_string())
        }
        ServerCommand::ReloadConfig => {
            program::check_config()?;
            services.restarts.store(true, Ordering::Release);
            services.shutdown.cancel();
            Ok("The configuration is without errors. Restarting server with it...".to_owned())
        }
        ServerCommand::Restart { force: _ } => {
            services.restarts.store(true, Ordering::Release);
            services.shutdown.cancel();
            Ok("Restarting server...".to_owned())
        }
        ServerCommand::Shutdown => {
            services.shutdown.cancel();
            Ok("Shutting down…".to_owned())
        }
    }
}

fn backups(folder: &Path) -> Result<String, String> {
    let backups = backup::list(folder).map_err(|error| error.to_string())?;
    let mut text = String::from("Backups:\n");
    for kept in backups {
        // Writing to a text does not fail.
        _ = writeln!(
            text,
            "- #{}: {} bytes, {} files",
            kept.id, kept.bytes, kept.files
        );
    }
    Ok(text)
}

fn newest(folder: &Path) -> Result<u32, String> {
    let backups = backup::list(folder).map_err(|error| error.to_string())?;
    let newest = backups.iter().map(|backup| backup.id).max();
    newest.ok_or_else(|| "There is no backup yet.".to_owned())
}

fn folder(services: &Services) -> Result<&Path, String> {
    services
        .config
        .database
        .database_backup_path
        .as_deref()
        .ok_or_else(|| "database_backup_path is not set: there is no place for backups".to_owned())
}
