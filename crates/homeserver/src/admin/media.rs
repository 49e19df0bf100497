//! Commands about uploaded files. All files are this server's: there are no remote ones.

use ruma::{EventId, MilliSecondsSinceUnixEpoch, MxcUri, OwnedMxcUri, UInt};
use serde_json::Value;

use super::{
    answer::{block, code_block, said},
    command::Media,
    users::named,
};
use crate::{clock, media::record::MediaFile, server::Server};

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

pub(super) async fn run(server: &Server, command: Media, below: &str) -> Result<String, String> {
    match command {
        Media::Delete { mxc, event_id } => match (mxc, event_id) {
            (Some(mxc), _) => delete(server, &mxc).await,
            (None, Some(event)) => delete_of(server, &event).await,
            (None, None) => {
                Err("Say which file with --mxc, or which event with --event-id.".to_owned())
            }
        },
        Media::DeleteList => delete_list(server, below).await,
        Media::DeletePastRemoteMedia {
            duration,
            before,
            after: _,
            yes_i_want_to_delete_local_media,
        } => {
            if !yes_i_want_to_delete_local_media {
                return Ok(NONE_REMOTE.to_owned());
            }
            let then = ago(&duration)?;
            let wanted = |file: &MediaFile| (file.created < then) == before;
            delete_which(server, wanted).await
        }
        Media::DeleteAllFromUser { user } => {
            let user = named(server, &user)?;
            delete_which(server, |file| file.uploader == user).await
        }
        Media::DeleteAllFromServer {
            server_name,
            yes_i_want_to_delete_local_media,
        } => {
            if server_name != server.config.server_name {
                return Ok("Deleted 0 total files.".to_owned());
            }
            if !yes_i_want_to_delete_local_media {
                return Err("This command only works for remote media by default.".to_owned());
            }
            delete_which(server, |_| true).await
        }
        Media::GetFileInfo { mxc } => {
            let about = server.media.id_of(&mxc).map(|id| server.media.about(id));
            let about = about.transpose().map_err(said)?.flatten();
            let about = about.ok_or_else(|| "There is no such file.".to_owned())?;
            let json = serde_json::to_string_pretty(&about);
            json.map(|json| block(&json))
                .map_err(|error| error.to_string())
        }
    }
}

async fn delete(server: &Server, mxc: &MxcUri) -> Result<String, String> {
    if delete_one(server, mxc).await? {
        return Ok("Deleted the MXC from our database and on our filesystem.".to_owned());
    }
    Err(format!("There is no file {mxc} on this server."))
}

async fn delete_one(server: &Server, mxc: &MxcUri) -> Result<bool, String> {
    match server.media.id_of(mxc) {
        Some(id) => server.media.delete(id).await.map_err(said),
        None => Ok(false),
    }
}

async fn delete_of(server: &Server, event: &EventId) -> Result<String, String> {
    let pdu = server.rooms.event(event).map_err(said)?;
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
        count += usize::from(delete_one(server, &uri).await?);
    }
    Ok(format!(
        "Deleted {count} total MXCs from our database and the filesystem from event ID {event}."
    ))
}

async fn delete_list(server: &Server, below: &str) -> Result<String, String> {
    let (mut deleted, mut failed) = (0, 0);
    for line in code_block(below)? {
        let uri = OwnedMxcUri::from(line.trim());
        if !uri.is_valid() {
            failed += 1;
        } else if delete_one(server, &uri).await? {
            deleted += 1;
        }
    }
    Ok(format!(
        "Finished bulk MXC deletion, deleted {deleted} total MXCs from our database and the \
         filesystem. {failed} MXCs failed to be parsed."
    ))
}

async fn delete_which(
    server: &Server,
    wanted: impl Fn(&MediaFile) -> bool,
) -> Result<String, String> {
    let mut count = 0;
    for id in server.media.which(wanted).map_err(said)? {
        count += usize::from(server.media.delete(&id).await.map_err(said)?);
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
