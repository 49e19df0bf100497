//! Making a room: all of its first events in one commit, so that nobody ever sees half of a room.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#creation>

use http::StatusCode;
use ruma::{
    OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomVersionId,
    api::{
        client::room::{
            Visibility,
            create_room::v3::{Request, RoomPreset},
        },
        error::ErrorKind,
    },
    events::{StateEventType, room::member::MembershipState},
    room_version_rules::RoomVersionRules,
};
use serde::Deserialize;
use serde_json::{
    Map, Value, json,
    value::{RawValue, to_raw_value},
};

use super::{
    Draft, Rooms, aliases,
    membership::{MembershipUpdate, auto_accept},
    rules_of,
};
use crate::{
    accounts::query_missing_users,
    caller::Caller,
    error::{Error, Result},
    limits::{INITIAL_STATE_MAX, INITIAL_STATE_MAX_BYTES, INVITES_PER_NEW_ROOM},
    store::{Exists, tables},
};

mod power;

/// A state event as the client writes it.
#[derive(Deserialize)]
struct InitialState {
    #[serde(rename = "type")]
    kind: StateEventType,
    #[serde(default)]
    state_key: String,
    content: Box<RawValue>,
}

/// What is known of a room before it is made.
struct Plan {
    rooms: Rooms,
    caller: Caller,
    request: Request,
    version: RoomVersionId,
    rules: RoomVersionRules,
    preset: RoomPreset,
    alias: Option<OwnedRoomAliasId>,
    initial: Vec<InitialState>,
}

/// Makes a room.
///
/// # Errors
///
/// 400 if what is asked for makes no room, 403 if the caller may not make any.
pub async fn create(rooms: &Rooms, caller: &Caller, request: Request) -> Result<OwnedRoomId> {
    let plan = Plan::new(rooms, caller, request)?;
    let appservice = caller.appservice.as_deref();
    query_missing_users(
        &rooms.accounts,
        &rooms.appservices,
        appservice,
        &plan.request.invite,
    )
    .await?;
    plan.check_alias()?;
    let creator = caller.user_id.clone();
    let content = plan.create_content()?;

    let writer = rooms.create(plan.version.clone(), creator, content).await?;
    let (drafts, joins) = plan.drafts()?;
    let built = writer.add_all(drafts, joins).await;
    let mut writer = built.map_err(invalid_state)?;
    let room = writer.room_id().to_owned();
    if plan.request.visibility == Visibility::Public {
        let key = ("", &*room);
        writer.batch().put::<tables::PublicRooms>(key, &Exists {})?;
    }
    // All is built: whoever wants the same alias waits for no more than this write.
    let _alone = rooms.aliases.lock(plan.alias.clone()).await;
    plan.check_alias()?;
    if let Some(alias) = &plan.alias {
        aliases::put(writer.batch(), alias, &room, &caller.user_id)?;
    }
    writer.commit().await?;
    // An account that was made meanwhile has looked for its invitations before this one was written.
    for user in &plan.request.invite {
        auto_accept::accept_late(rooms, user, &room).await?;
    }
    Ok(room)
}

/// What a client asks for is wrong if the rules refuse it to the maker of a room.
fn invalid_state(error: Error) -> Error {
    match error {
        Error::Refused(refusal) if refusal.status == StatusCode::FORBIDDEN => {
            Error::bad_request(ErrorKind::InvalidRoomState, refusal.message)
        }
        error => error,
    }
}

impl Plan {
    fn new(rooms: &Rooms, caller: &Caller, request: Request) -> Result<Self> {
        check_invites(rooms, &request)?;
        check_initial_state(&request)?;
        let version = request.room_version.clone();
        let version = version.unwrap_or_else(|| rooms.config.default_room_version.clone());
        let rules = rules_of(&version)?;
        let preset = request.preset.clone().unwrap_or(match request.visibility {
            Visibility::Public => RoomPreset::PublicChat,
            _ => RoomPreset::PrivateChat,
        });
        let name = request.room_alias_name.as_deref();
        let alias = name
            .map(|name| aliases::local_alias(rooms, name))
            .transpose()?;
        let mut initial = Vec::new();
        for event in &request.initial_state {
            let event: InitialState = serde_json::from_str(event.json().get())
                .map_err(|error| Error::bad_json(format!("initial_state: {error}")))?;
            if event.kind == StateEventType::RoomCreate || event.kind == StateEventType::RoomMember
            {
                return Err(Error::invalid(format!(
                    "{} cannot be in initial_state",
                    event.kind
                )));
            }
            initial.push(event);
        }
        Ok(Self {
            rooms: rooms.clone(),
            caller: caller.clone(),
            request,
            version,
            rules,
            preset,
            alias,
            initial,
        })
    }

    fn create_content(&self) -> Result<Box<RawValue>> {
        let mut content: Map<String, Value> = match &self.request.creation_content {
            Some(content) => serde_json::from_str(content.json().get())
                .map_err(|error| Error::bad_json(format!("creation_content: {error}")))?,
            None => Map::new(),
        };
        content.insert("room_version".into(), json!(self.version));
        if self.rules.authorization.use_room_create_sender {
            content.remove("creator");
        } else {
            content.insert("creator".into(), json!(self.caller.user_id));
        }
        let mut creators = self.additional_creators()?;
        if self.rules.authorization.additional_room_creators {
            content.remove("additional_creators");
            creators.retain(|user| *user != self.caller.user_id);
            if !creators.is_empty() {
                content.insert("additional_creators".into(), json!(creators));
            }
        }
        Ok(to_raw_value(&content)?)
    }

    /// Who else is above all power levels, where the room version knows that.
    fn additional_creators(&self) -> Result<Vec<OwnedUserId>> {
        #[derive(Default, Deserialize)]
        struct Creators {
            #[serde(default)]
            additional_creators: Vec<OwnedUserId>,
        }
        if !self.rules.authorization.additional_room_creators {
            return Ok(Vec::new());
        }
        let content = match &self.request.creation_content {
            Some(content) => serde_json::from_str::<Creators>(content.json().get())
                .map_err(|error| Error::invalid(format!("additional_creators: {error}")))?,
            None => Creators::default(),
        };
        let mut creators = content.additional_creators;
        if self.preset == RoomPreset::TrustedPrivateChat {
            for user in &self.request.invite {
                if !creators.contains(user) {
                    creators.push(user.clone());
                }
            }
        }
        Ok(creators)
    }

    /// Refuses a name that the room cannot have.
    fn check_alias(&self) -> Result<()> {
        let (rooms, caller) = (&self.rooms, &self.caller);
        let taken = StatusCode::BAD_REQUEST;
        let check = |alias| aliases::check_free(rooms, caller, alias, taken);
        self.alias.as_deref().map_or(Ok(()), check)
    }

    /// The events that the room begins with, after its very first; and the joins of those for whom their invitation is accepted.
    fn drafts(&self) -> Result<(Vec<Draft>, Vec<Draft>)> {
        let creator = &self.caller.user_id;
        let join = MembershipUpdate::new(&self.rooms, creator, MembershipState::Join)?;
        let mut drafts = vec![join.draft(creator)?];
        if !self.sets(&StateEventType::RoomPowerLevels) {
            drafts.push(self.state(StateEventType::RoomPowerLevels, self.power_levels()?)?);
        }
        if let Some(alias) = &self.alias
            && !self.sets(&StateEventType::RoomCanonicalAlias)
        {
            let content = json!({ "alias": alias });
            drafts.push(self.state(StateEventType::RoomCanonicalAlias, content)?);
        }
        for (kind, content) in self.preset_state() {
            if !self.sets(&kind) {
                drafts.push(self.state(kind, content)?);
            }
        }
        for event in &self.initial {
            let (key, content) = (event.state_key.as_str(), event.content.clone());
            drafts.push(Draft::new_raw_state(
                creator.clone(),
                &event.kind,
                key,
                content,
            ));
        }
        if let Some(name) = &self.request.name {
            drafts.push(self.state(StateEventType::RoomName, json!({ "name": name }))?);
        }
        if let Some(topic) = &self.request.topic {
            let rich = json!({ "m.text": [{ "body": topic, "mimetype": "text/plain" }] });
            let content = json!({ "topic": topic, "m.topic": rich });
            drafts.push(self.state(StateEventType::RoomTopic, content)?);
        }
        let joins = self.invites(&mut drafts)?;
        Ok((drafts, joins))
    }

    fn preset_state(&self) -> [(StateEventType, Value); 3] {
        let (join_rule, guest_access) = match self.preset {
            RoomPreset::PublicChat => ("public", "forbidden"),
            _ => ("invite", "can_join"),
        };
        [
            (
                StateEventType::RoomJoinRules,
                json!({ "join_rule": join_rule }),
            ),
            (
                StateEventType::RoomHistoryVisibility,
                json!({ "history_visibility": "shared" }),
            ),
            (
                StateEventType::RoomGuestAccess,
                json!({ "guest_access": guest_access }),
            ),
        ]
    }

    fn invites(&self, drafts: &mut Vec<Draft>) -> Result<Vec<Draft>> {
        let mut joins = Vec::new();
        for user in &self.request.invite {
            if *user == self.caller.user_id {
                continue;
            }
            let mut member = MembershipUpdate::new(&self.rooms, user, MembershipState::Invite)?;
            member.is_direct = self.request.is_direct;
            drafts.push(member.draft(&self.caller.user_id)?);
            let sender = &self.caller.user_id;
            joins.extend(auto_accept::join_after(&self.rooms, sender, &member)?);
        }
        Ok(joins)
    }

    /// Whether the client sets this state itself.
    fn sets(&self, kind: &StateEventType) -> bool {
        let mut initial = self.initial.iter();
        initial.any(|event| event.kind == *kind && event.state_key.is_empty())
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "every caller makes both for this one event"
    )]
    fn state(&self, kind: StateEventType, content: Value) -> Result<Draft> {
        Draft::state(self.caller.user_id.clone(), &kind, "", &content)
    }
}

fn check_initial_state(request: &Request) -> Result<()> {
    let events = &request.initial_state;
    let bytes: usize = events.iter().map(|event| event.json().get().len()).sum();
    if events.len() > INITIAL_STATE_MAX || bytes > INITIAL_STATE_MAX_BYTES {
        return Err(Error::invalid(format!(
            "initial_state too large (max {INITIAL_STATE_MAX} events, {INITIAL_STATE_MAX_BYTES} bytes in total): send more once the room exists"
        )));
    }
    Ok(())
}

fn check_invites(rooms: &Rooms, request: &Request) -> Result<()> {
    if !request.invite_3pid.is_empty() {
        return Err(super::membership::no_third_party());
    }
    if request.invite.len() > INVITES_PER_NEW_ROOM {
        return Err(Error::invalid(format!(
            "Too many invites (max {INVITES_PER_NEW_ROOM} for a new room)"
        )));
    }
    for user in &request.invite {
        super::membership::check_local_user(rooms, user)?;
    }
    Ok(())
}
