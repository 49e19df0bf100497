//! Pictures of users and rooms: looked at, uploaded, given.

use ruma::{
    MxcUri, OwnedMxcUri, RoomId, UserId,
    api::client::{
        media::create_content,
        profile::{get_profile_field, set_profile_field},
    },
    events::{StateEventType, room::avatar::RoomAvatarEventContent},
    profile::{ProfileFieldName, ProfileFieldValue},
};

use super::client::{Actor, Homeserver, MatrixError};

impl Homeserver {
    /// Uploads a PNG. Answers where it is.
    pub async fn upload_png(
        &self,
        png: Vec<u8>,
        file_name: &str,
    ) -> Result<OwnedMxcUri, MatrixError> {
        let mut request = create_content::v3::Request::new(png);
        request.content_type = Some("image/png".to_owned());
        request.filename = Some(file_name.to_owned());
        Ok(self.call(Actor::Bot, request).await?.content_uri)
    }

    /// Gives a user of ours its avatar.
    pub async fn set_avatar(
        &self,
        actor: Actor<'_>,
        user: &UserId,
        avatar: &MxcUri,
    ) -> Result<(), MatrixError> {
        let value = ProfileFieldValue::AvatarUrl(avatar.to_owned());
        self.call(
            actor,
            set_profile_field::v3::Request::new(user.to_owned(), value),
        )
        .await?;
        Ok(())
    }

    /// The avatar of a user; `None` if there is none.
    pub async fn avatar(&self, user: &UserId) -> Result<Option<OwnedMxcUri>, MatrixError> {
        let field = ProfileFieldName::AvatarUrl;
        let request = get_profile_field::v3::Request::new(user.to_owned(), field);
        match self.call(Actor::Bot, request).await {
            Ok(answer) => Ok(answer.value.and_then(|value| match value {
                ProfileFieldValue::AvatarUrl(avatar) => Some(avatar).filter(|it| !is_empty(it)),
                _ => None,
            })),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The avatar of a room; `None` if it has none.
    pub async fn room_avatar(&self, room: &RoomId) -> Result<Option<OwnedMxcUri>, MatrixError> {
        let content = self
            .state_content(Actor::Bot, room, StateEventType::RoomAvatar, "")
            .await?;
        let url = content.and_then(|content| Some(content.get("url")?.as_str()?.to_owned()));
        Ok(url.map(OwnedMxcUri::from).filter(|url| !is_empty(url)))
    }

    /// Gives a room its avatar.
    pub async fn set_room_avatar(&self, room: &RoomId, avatar: &MxcUri) -> Result<(), MatrixError> {
        self.set_state(Actor::Bot, room, &avatar_content(avatar))
            .await
    }
}

/// The state of a room with this avatar.
pub(super) fn avatar_content(avatar: &MxcUri) -> RoomAvatarEventContent {
    let mut content = RoomAvatarEventContent::new();
    content.url = Some(avatar.to_owned());
    content
}

/// An avatar that was taken away again may still be there, as an empty text.
fn is_empty(avatar: &MxcUri) -> bool {
    avatar.as_str().is_empty()
}
