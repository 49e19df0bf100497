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

use super::{Draft, RoomWriter, aliases, membership::Member, rules_of};
use crate::{
    appservices,
    error::{Error, Result},
    http::Caller,
    limits::INVITES_PER_NEW_ROOM,
    server::Server,
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
struct Plan<'a> {
    server: &'a Server,
    caller: &'a Caller,
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
pub async fn create(server: &Server, caller: &Caller, request: Request) -> Result<OwnedRoomId> {
    let plan = Plan::new(server, caller, request)?;
    let appservice = caller.appservice.as_deref();
    appservices::introduce(server, appservice, &plan.request.invite).await?;
    let lock = server.aliases.lock().await;
    if let Some(alias) = &plan.alias {
        aliases::check_free(server, caller, alias, StatusCode::BAD_REQUEST)?;
    }
    let creator = caller.user_id.clone();
    let content = plan.create_content()?;
    let rooms = &server.rooms;
    let mut writer = rooms.create(plan.version.clone(), creator, content).await?;
    plan.fill(&mut writer).map_err(invalid_state)?;
    let room = writer.room_id().to_owned();
    writer.commit().await?;
    drop(lock);
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

impl<'a> Plan<'a> {
    fn new(server: &'a Server, caller: &'a Caller, request: Request) -> Result<Self> {
        check_invites(server, &request)?;
        let version = request.room_version.clone();
        let version = version.unwrap_or_else(|| server.config.rooms.default_room_version.clone());
        let rules = rules_of(&version)?;
        let preset = request.preset.clone().unwrap_or(match request.visibility {
            Visibility::Public => RoomPreset::PublicChat,
            _ => RoomPreset::PrivateChat,
        });
        let name = request.room_alias_name.as_deref();
        let alias = name.map(|name| aliases::local(server, name)).transpose()?;
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
            server,
            caller,
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

    fn fill(&self, writer: &mut RoomWriter) -> Result<()> {
        let creator = &self.caller.user_id;
        let join = Member::new(self.server, creator, MembershipState::Join)?;
        writer.add(join.draft(creator)?)?;
        if !self.sets(&StateEventType::RoomPowerLevels) {
            let levels = self.power_levels()?;
            self.set(writer, StateEventType::RoomPowerLevels, levels)?;
        }
        if let Some(alias) = &self.alias {
            let room = writer.room_id().to_owned();
            aliases::put(writer.batch(), alias, &room, creator)?;
            if !self.sets(&StateEventType::RoomCanonicalAlias) {
                let content = json!({ "alias": alias });
                self.set(writer, StateEventType::RoomCanonicalAlias, content)?;
            }
        }
        self.add_preset(writer)?;
        for event in &self.initial {
            let key = event.state_key.as_str();
            let content = event.content.clone();
            writer.add(Draft::raw_state(creator.clone(), &event.kind, key, content))?;
        }
        if let Some(name) = &self.request.name {
            self.set(writer, StateEventType::RoomName, json!({ "name": name }))?;
        }
        if let Some(topic) = &self.request.topic {
            let rich = json!({ "m.text": [{ "body": topic, "mimetype": "text/plain" }] });
            let content = json!({ "topic": topic, "m.topic": rich });
            self.set(writer, StateEventType::RoomTopic, content)?;
        }
        self.invite(writer)?;
        if self.request.visibility == Visibility::Public {
            let room = writer.room_id().to_owned();
            let key = ("", &*room);
            writer.batch().put::<tables::PublicRooms>(key, &Exists {})?;
        }
        Ok(())
    }

    fn add_preset(&self, writer: &mut RoomWriter) -> Result<()> {
        let (join_rule, guest_access) = match self.preset {
            RoomPreset::PublicChat => ("public", "forbidden"),
            _ => ("invite", "can_join"),
        };
        for (kind, content) in [
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
        ] {
            if !self.sets(&kind) {
                self.set(writer, kind, content)?;
            }
        }
        Ok(())
    }

    fn invite(&self, writer: &mut RoomWriter) -> Result<()> {
        for user in &self.request.invite {
            if *user == self.caller.user_id {
                continue;
            }
            let mut member = Member::new(self.server, user, MembershipState::Invite)?;
            member.is_direct = self.request.is_direct;
            writer.add(member.draft(&self.caller.user_id)?)?;
        }
        Ok(())
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
    fn set(&self, writer: &mut RoomWriter, kind: StateEventType, content: Value) -> Result<()> {
        let sender = self.caller.user_id.clone();
        writer.add(Draft::state(sender, &kind, "", &content)?)?;
        Ok(())
    }
}

fn check_invites(server: &Server, request: &Request) -> Result<()> {
    if !request.invite_3pid.is_empty() {
        return Err(super::membership::no_third_party());
    }
    if request.invite.len() > INVITES_PER_NEW_ROOM {
        return Err(Error::invalid(format!(
            "A room can begin with {INVITES_PER_NEW_ROOM} invites"
        )));
    }
    for user in &request.invite {
        super::membership::check_ours(server, user)?;
    }
    Ok(())
}
