//! What people show to agents: pictures, files and voice messages, fetched when their turn is sent, and made into what a model takes.
//!
//! The journal holds where a file is and what its sender says of it, never its bytes. A file is untrusted: its size is limited while
//! it comes, a picture's pixels are counted before they are decoded, decoding happens off the async threads and few at a time. What
//! cannot be shown is described, and its sender is told why.
//!
//! | module | what it is |
//! |---|---|
//! | `content` | an event's content as an [`Attachment`]; pure |
//! | `picture` | the bytes of a picture as a model takes them; pure |
//! | `text_file` | the words of a text file, fenced; pure |
//! | `not_shown` | why something cannot be shown, for the agent and for its sender |

mod content;
mod not_shown;
mod picture;
mod text_file;

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use letta_client::{AgentId, Image};
use ruma::{EventId, OwnedEventId};
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::warn;

pub(super) use self::{content::attachment_of, not_shown::NotShown};
use crate::{
    journal::{Attachment, AttachmentKind, TEXT_FILE_BYTES_MAX, TurnId},
    matrix::{Homeserver, MatrixError},
    transcription::Transcriber,
};

/// The largest picture that is fetched, in bytes.
pub(super) const PICTURE_DOWNLOAD_BYTES_MAX: usize = 20 * 1024 * 1024;
/// The largest audio file that is fetched, in bytes: the most that `OpenAI` takes.
const AUDIO_BYTES_MAX: usize = 24 * 1024 * 1024;
/// The most turns that fetch files and send them to Letta at once; more wait. Their bytes are in memory meanwhile.
const SENDS_MAX: usize = 8;
/// How long a turn waits for all of its files together. Whatever is not there by then is not shown.
pub(super) const FILES_TIME_MAX: Duration = Duration::from_mins(3);
/// How many bytes of words the files of a turn add to it at most, voice messages included.
pub(super) const FILE_WORDS_BYTES_MAX: usize = TEXT_FILE_BYTES_MAX + 64 * 1024;
/// The most files that are kept for turns that were not sent yet; then the oldest are fetched again if they are needed.
const LOADED_FILES_MAX: usize = 16;
/// The most pictures that are decoded at once; more wait.
const DECODES_MAX: usize = 2;
/// The most models that are remembered as taking no pictures; then all are forgotten.
const BLIND_MODELS_MAX: usize = 10_000;

/// See the module's documentation.
pub(super) struct Attachments {
    homeserver: Homeserver,
    transcriber: Option<Arc<Transcriber>>,
    sends: Semaphore,
    decodes: Arc<Semaphore>,
    blind: Mutex<HashSet<BlindModel>>,
    loaded: Mutex<VecDeque<LoadedFile>>,
}

/// A file that was fetched for a turn.
struct LoadedFile {
    turn: TurnId,
    event: OwnedEventId,
    file: LoadedAttachment,
}

/// The model of an agent, by the name that Letta has for it.
type BlindModel = (AgentId, Option<String>);

/// What a model is told of a file besides that it is there.
#[derive(Clone, Debug)]
pub(super) enum LoadedAttachment {
    /// It is shown.
    Picture(Image),
    /// Its words are given.
    Words(String),
    /// Neither.
    NotShown(NotShown),
}

impl Attachments {
    /// Nothing is known of any model yet.
    pub(super) fn new(homeserver: Homeserver, transcriber: Option<Arc<Transcriber>>) -> Self {
        Self {
            homeserver,
            transcriber,
            sends: Semaphore::new(SENDS_MAX),
            decodes: Arc::new(Semaphore::new(DECODES_MAX)),
            blind: Mutex::default(),
            loaded: Mutex::default(),
        }
    }

    /// The right to hold the files of one turn in memory, until it is sent.
    pub(super) async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed, so there is always a permit to wait for.
        self.sends.acquire().await.ok()
    }

    /// Whether this model has refused a picture.
    pub(super) fn is_blind(&self, agent: &AgentId, model: Option<&str>) -> bool {
        let key = (agent.clone(), model.map(str::to_owned));
        self.blind().contains(&key)
    }

    /// This model has refused a picture.
    pub(super) fn set_blind(&self, agent: &AgentId, model: Option<&str>) {
        let mut blind = self.blind();
        if blind.len() >= BLIND_MODELS_MAX {
            blind.clear();
        }
        blind.insert((agent.clone(), model.map(str::to_owned)));
    }

    fn blind(&self) -> MutexGuard<'_, HashSet<BlindModel>> {
        self.blind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came with a message of a turn, fetched and made into what a model takes once, however often Letta has to be asked.
    pub(super) async fn load_once(
        &self,
        turn: &TurnId,
        event: &EventId,
        attachment: &Attachment,
    ) -> LoadedAttachment {
        let known = {
            let loaded = self.loaded();
            let mut all = loaded.iter();
            all.find(|one| one.turn == *turn && one.event == event)
                .map(|one| one.file.clone())
        };
        if let Some(known) = known {
            return known;
        }
        let file = self.load(attachment).await;
        // Where the homeserver was away, the next attempt may find it.
        if !matches!(file, LoadedAttachment::NotShown(NotShown::Unreachable)) {
            let mut loaded = self.loaded();
            if loaded.len() >= LOADED_FILES_MAX {
                loaded.pop_front();
            }
            loaded.push_back(LoadedFile {
                turn: turn.clone(),
                event: event.to_owned(),
                file: file.clone(),
            });
        }
        file
    }

    /// Letta has the turn, so its files are not needed any more.
    pub(super) fn forget_files(&self, turn: &TurnId) {
        self.loaded().retain(|one| one.turn != *turn);
    }

    fn loaded(&self) -> MutexGuard<'_, VecDeque<LoadedFile>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches a file and makes it into what a model takes.
    async fn load(&self, attachment: &Attachment) -> LoadedAttachment {
        let loaded = match attachment.kind {
            AttachmentKind::Picture => self.picture(attachment).await,
            AttachmentKind::File => self.file(attachment).await,
            AttachmentKind::Audio => self.audio(attachment).await,
        };
        loaded.unwrap_or_else(LoadedAttachment::NotShown)
    }

    async fn picture(&self, attachment: &Attachment) -> Result<LoadedAttachment, NotShown> {
        let bytes = self
            .download(attachment, PICTURE_DOWNLOAD_BYTES_MAX)
            .await?;
        let permit = Arc::clone(&self.decodes).acquire_owned().await;
        let decoding = tokio::task::spawn_blocking(move || {
            let prepared = picture::prepare(&bytes);
            drop(permit);
            prepared
        });
        // A decoder that panics has met a file that it cannot read.
        let prepared = decoding.await.unwrap_or(Err(NotShown::Unreadable));
        prepared.map(LoadedAttachment::Picture)
    }

    async fn file(&self, attachment: &Attachment) -> Result<LoadedAttachment, NotShown> {
        let bytes = self.download(attachment, TEXT_FILE_BYTES_MAX).await;
        let bytes = match bytes {
            // A large file is no text for a conversation, whatever is in it.
            Err(NotShown::TooLarge { .. }) => return Err(NotShown::NoText),
            bytes => bytes?,
        };
        let words = text_file::fenced(&attachment.name, &bytes).ok_or(NotShown::NoText)?;
        Ok(LoadedAttachment::Words(words))
    }

    async fn audio(&self, attachment: &Attachment) -> Result<LoadedAttachment, NotShown> {
        let transcriber = self.transcriber.as_ref();
        let transcriber = transcriber.ok_or(NotShown::NoTranscription)?;
        let bytes = self.download(attachment, AUDIO_BYTES_MAX).await?;
        let mimetype = attachment.mimetype.as_deref();
        let words = transcriber.transcribe(&attachment.name, mimetype, &bytes);
        match words.await {
            Ok(words) if words.is_empty() => Err(NotShown::NothingSaid),
            Ok(words) => Ok(LoadedAttachment::Words(words)),
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "could not transcribe audio"
                );
                Err(NotShown::NotTranscribed)
            }
        }
    }

    async fn download(
        &self,
        attachment: &Attachment,
        bytes_max: usize,
    ) -> Result<bytes::Bytes, NotShown> {
        let uri = attachment.uri.as_ref().ok_or(NotShown::Encrypted)?;
        let too_large = NotShown::TooLarge { bytes_max };
        let is_larger = |size: u64| usize::try_from(size).map_or(true, |size| size > bytes_max);
        if attachment.size.is_some_and(is_larger) {
            return Err(too_large);
        }
        let downloaded = self.homeserver.download(uri, bytes_max).await;
        downloaded.map_err(|error| {
            warn!(%uri, error = &error as &dyn std::error::Error, "could not download a file");
            match error {
                error if error.is_too_large() => too_large,
                MatrixError::Refused(_) if error.is_permanent() => NotShown::Missing,
                _ => NotShown::Unreachable,
            }
        })
    }
}

#[cfg(test)]
mod tests;
