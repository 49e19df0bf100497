//! What a turn sends to Letta: what people said, what they showed, and what they replied to.

use std::pin::pin;

use letta_client::{Part, Prompt};
use ruma::EventId;
use tokio::{select, time::sleep};

use super::{
    Inner,
    attachments::{FILE_WORDS_BYTES_MAX, FILES_TIME_MAX, LoadedAttachment, NotShown},
    notice_texts,
    prompt::{PromptContext, for_letta},
};
use crate::journal::{Attachment, JournalError, QueuedPrompt, SendId, TurnRecord};

impl Inner {
    /// All prompts of a turn, with what came with them. Who shows something that the agent cannot see is told so.
    pub(super) async fn model_input(
        &self,
        turn: &TurnRecord,
        shared: bool,
    ) -> Result<Vec<Prompt>, JournalError> {
        let mut prompts = Vec::with_capacity(turn.prompts.len());
        let mut out_of_time = pin!(sleep(FILES_TIME_MAX));
        let mut words_left = FILE_WORDS_BYTES_MAX;
        let mut reactions = self.reactions_line(turn).await;
        for prompt in &turn.prompts {
            let mut context = PromptContext {
                reactions: reactions.take(),
                ..PromptContext::default()
            };
            if let Some(replied) = &prompt.reply_to {
                context.quote = self.quote(turn, replied).await;
            }
            let mut image = None;
            if let Some(attachment) = &prompt.attachment {
                let loaded = select! {
                    biased;
                    loaded = self.load(turn, &prompt.event_id, attachment) => loaded?,
                    () = &mut out_of_time => LoadedAttachment::NotShown(NotShown::TooSlow),
                };
                match within(loaded, &mut words_left) {
                    LoadedAttachment::Picture(shown) => image = Some(shown),
                    LoadedAttachment::Words(words) => context.addition = Some(words),
                    LoadedAttachment::NotShown(why) => {
                        context.addition = Some(why.for_agent());
                        self.tell_not_shown(turn, prompt, attachment, why).await?;
                    }
                }
            }
            let mut input = for_letta(prompt, turn.key_of(prompt), shared, &context);
            input.parts.extend(image.map(Part::Image));
            prompts.push(input);
        }
        Ok(prompts)
    }

    async fn load(
        &self,
        turn: &TurnRecord,
        event: &EventId,
        attachment: &Attachment,
    ) -> Result<LoadedAttachment, JournalError> {
        if attachment.is_picture() {
            let model = self.model_of(turn)?;
            let refused = attachment.is_refused
                || self.attachments.is_blind(&turn.key.agent, model.as_deref());
            // Where Letta is only said not to show it, the conversation may still have another model than the agent.
            if refused || !self.ctx.backend.takes_pictures(model.as_deref()) {
                self.tell_no_pictures(turn).await?;
            }
            if refused {
                return Ok(LoadedAttachment::NotShown(NotShown::NoPictures));
            }
        }
        let file = self.attachments.load_once(&turn.id, event, attachment);
        Ok(file.await)
    }

    fn model_of(&self, turn: &TurnRecord) -> Result<Option<String>, JournalError> {
        let agent = self.ctx.journal.agent(&turn.key.agent)?;
        Ok(agent.and_then(|agent| agent.model))
    }

    /// The agent's model has refused what it was shown: it is told of it instead. `false`: it was shown nothing.
    pub(super) fn refuse_pictures(&self, turn: &mut TurnRecord) -> Result<bool, JournalError> {
        let mut any = false;
        for prompt in &mut turn.prompts {
            if let Some(picture) = prompt.attachment.as_mut().filter(|one| one.is_picture()) {
                any |= !picture.is_refused;
                picture.is_refused = true;
            }
        }
        if any {
            let model = self.model_of(turn)?;
            self.attachments
                .set_blind(&turn.key.agent, model.as_deref());
        }
        Ok(any)
    }

    /// Once for each room and agent.
    async fn tell_no_pictures(&self, turn: &TurnRecord) -> Result<(), JournalError> {
        let key = &turn.key;
        let once = SendId::of(&["no pictures", key.room.as_str(), key.agent.as_str()]);
        let text = notice_texts::no_pictures();
        let notice = self.message_builder(turn).notice_under(turn, once, &text);
        self.ctx.outbox.enqueue(&notice).await
    }

    /// Once for each event and agent.
    async fn tell_not_shown(
        &self,
        turn: &TurnRecord,
        prompt: &QueuedPrompt,
        attachment: &Attachment,
        why: NotShown,
    ) -> Result<(), JournalError> {
        let Some((reason, code)) = why.for_sender() else {
            return Ok(());
        };
        let agent = turn.key.agent.as_str();
        let once = SendId::of(&["not shown", prompt.event_id.as_str(), agent]);
        let text = notice_texts::not_shown(&attachment.name, &reason, code);
        let notice = self.message_builder(turn).notice_under(turn, once, &text);
        self.ctx.outbox.enqueue(&notice).await
    }
}

/// A file as it is, if its words are within what is left of them.
fn within(file: LoadedAttachment, words_left: &mut usize) -> LoadedAttachment {
    let LoadedAttachment::Words(words) = &file else {
        return file;
    };
    match words_left.checked_sub(words.len()) {
        Some(left) => {
            *words_left = left;
            file
        }
        None => LoadedAttachment::NotShown(NotShown::TooManyWords),
    }
}
