//! Commands about uploaded files. All files are this server's: there are no remote ones.

use ruma::{EventId, MilliSecondsSinceUnixEpoch, MxcUri, OwnedMxcUri, UInt};
use serde_json::Value;

use super::{
    answer::{block, code_block, error_text},
    command::Media,
    users::parse_user,
};
use crate::{clock, media::record::MediaFile, services::Services};

/// Where the URIs of files stand in the content of an event.
const URIS: [&str; 4] = [
    "/url",
    "/file/url",
    "/info/thumbnail_url",
    "/info/thumbnail_file/url",
];

/// What is said to whoever means files of other servers.
const NONE_REMOTE: &str = "Deleted 0 total files. All files here are of this server: \
    --yes-i-want-to-delete-local-media deletes those.";

pub(super) async fn run(
    services: &Services,
    command: Media,
    below: &str,
) -> Result<String, String> {
    match command {
        Media::Delete { mxc, event_id } => match (mxc, event_id) {
            (Some(mxc), _) => delete(services, &mxc).await,
            (None, Some(event)) => delete_of(services, &event).await,
            (None, None) => {
                Err("Say which file with --mxc, or which event with --event-id.".to_owned())
            }
        },
        Media::DeleteList => delete_list(services, below).await,
        Media::DeleteByEvent { event_id } => delete_of(services, &event_id).await,
        Media::DeleteRange {
            duration,
            older_than,
            newer_than: _,
            yes_i_want_to_delete_local_media,
        } => {
            if !yes_i_want_to_delete_local_media {
                return Ok(NONE_REMOTE.to_owned());
            }
            let then = ago(&duration)?;
            let wanted = |file: &MediaFile| (file.created < then) == older_than;
            delete_which(services, wanted).await
        }
        Media::DeleteAllFromUser { user } => {
            let user = parse_user(services, &user)?;
            delete_which(services, |file| file.uploader == user).await
        }
        Media::DeleteAllFromServer {
            server_name,
            yes_i_want_to_delete_local_media,
        } => {
            if server_name != services.config.server_name {
                return Ok("Deleted 0 total files.".to_owned());
            }
            if !yes_i_want_to_delete_local_media {
                return Err("This command only works for remote media by default.".to_owned());
            }
            delete_which(services, |_| true).await
        }
        Media::GetFileInfo { mxc } => {
            let about = services
                .media
                .id_of(&mxc)
                .map(|id| services.media.file_record(id));
            let about = about.transpose().map_err(error_text)?.flatten();
            let about = about.ok_or_else(|| "There is no such file.".to_owned())?;
            let json = serde_json::to_string_pretty(&about);
            json.map(|json| block(&json))
                .map_err(|error| error.to_string())
        }
    }
}

async fn delete(services: &Services, mxc: &MxcUri) -> Result<String, String> {
    if delete_one(services, mxc).await? {
        return Ok("Deleted the MXC from our database and on our filesystem.".to_owned());
    }
    Err(format!("There is no file {mxc} on this server."))
}

async fn delete_one(services: &Services, mxc: &MxcUri) -> Result<bool, String> {
    match services.media.id_of(mxc) {
        Some(id) => services.media.delete(id).await.map_err(error_text),
        None => Ok(false),
    }
}

async fn delete_of(services: &Services, event: &EventId) -> Result<String, String> {
    let pdu = services.rooms.event(event).map_err(error_text)?;
    let pdu = pdu.ok_or_else(|| "Event ID does not exist or is not known to us.".to_owned())?;
    let content: Value = pdu.content_as().unwrap_or_default();
    let uris = URIS
        .iter()
        .filter_map(|place| content.pointer(place)?.as_str());
    let uris: Vec<OwnedMxcUri> = uris.map(OwnedMxcUri::from).collect();
    if uris.is_empty() {
        return Err("Parsed event ID but found no MXC URLs.".to_owned());
    }
    let mut count = 0;
    for uri in uris {
        count += usize::from(delete_one(services, &uri).await?);
    }
    Ok(format!(
        "Deleted {count} total MXCs from our database and the filesystem from event ID {event}."
    ))
}

async fn delete_list(services: &Services, below: &str) -> Result<String, String> {
    let (mut deleted, mut failed) = (0, 0);
    for line in code_block(below)? {
        let uri = OwnedMxcUri::from(line.trim());
        if !uri.is_valid() {
            failed += 1;
        } else if delete_one(services, &uri).await? {
            deleted += 1;
        }
    }
    Ok(format!(
        "Finished bulk MXC deletion, deleted {deleted} total MXCs from our database and the \
         filesystem. {failed} MXCs failed to be parsed."
    ))
}

async fn delete_which(
    services: &Services,
    wanted: impl Fn(&MediaFile) -> bool,
) -> Result<String, String> {
    let mut count = 0;
    for id in services.media.ids_where(wanted).map_err(error_text)? {
        count += usize::from(services.media.delete(&id).await.map_err(error_text)?);
    }
    Ok(format!("Deleted {count} total files."))
}

fn ago(text: &str) -> Result<MilliSecondsSinceUnixEpoch, String> {
    let ago = humantime::parse_duration(text).map_err(|error| format!("{text:?}: {error}"))?;
    let ago = UInt::try_from(ago.as_millis()).unwrap_or(UInt::MAX);
    Ok(MilliSecondsSinceUnixEpoch(
        clock::now().get().saturating_sub(ago),
    ))
}
