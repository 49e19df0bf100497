//! Rooms from their creation to the day everybody has left, and what surrounds them.

use anyhow::{Context as _, Result, ensure};
use matrix_sdk::ruma::EventEncryptionAlgorithm;
use matrix_sdk::ruma::api::client::discovery::get_capabilities;
use matrix_sdk::ruma::api::client::room::{create_room, upgrade_room};
use matrix_sdk::ruma::api::client::search::search_events;
use matrix_sdk::ruma::api::client::space::get_hierarchy;
use matrix_sdk::ruma::events::InitialStateEvent;
use matrix_sdk::ruma::events::room::encryption::RoomEncryptionEventContent;
use matrix_sdk::ruma::events::space::child::SpaceChildEventContent;
use matrix_sdk::ruma::room::RoomType;
use matrix_sdk::ruma::serde::Raw;
use matrix_sdk::{Room, RoomMemberships, RoomState};

use crate::person::Person;
use crate::steps::{Steps, until};

/// Alice makes an encrypted room, Bob comes.
pub async fn meet(steps: &mut Steps, alice: &Person, bob: &Person) -> Option<Room> {
    let room = steps
        .step("create an encrypted room", async {
            let algorithm = EventEncryptionAlgorithm::MegolmV1AesSha2;
            let encryption =
                InitialStateEvent::with_empty_state_key(RoomEncryptionEventContent::new(algorithm));
            let mut request = create_room::v3::Request::new();
            request.invite = vec![bob.id.clone()];
            request.name = Some("the room".to_owned());
            request.preset = Some(create_room::v3::RoomPreset::PrivateChat);
            request.initial_state = vec![encryption.to_raw_any()];
            Ok(alice.client.create_room(request).await?)
        })
        .await?;
    let id = room.room_id();
    steps
        .step(
            "the invitation arrives",
            bob.wait_for(id, RoomState::Invited),
        )
        .await?;
    steps
        .step("join", async {
            bob.room(id)?.join().await?;
            bob.wait_for(id, RoomState::Joined).await
        })
        .await?;
    alice.look_at(id).await;
    bob.look_at(id).await;
    steps
        .step(
            "the join is seen",
            until(|| async {
                let member = room.get_member_no_sync(&bob.id).await.ok().flatten()?;
                (*member.membership()
                    == matrix_sdk::ruma::events::room::member::MembershipState::Join)
                    .then_some(())
            }),
        )
        .await;
    steps
        .step("both are members and the room is encrypted", async {
            let members = room.members(RoomMemberships::JOIN).await?;
            ensure!(members.len() == 2, "{} members", members.len());
            until(|| async { room.encryption_state().is_encrypted().then_some(()) }).await?;
            let theirs = bob.room(id)?;
            until(|| async { theirs.encryption_state().is_encrypted().then_some(()) }).await
        })
        .await;
    Some(room)
}

/// What is not in the room: spaces, search, profile, devices.
pub async fn world(steps: &mut Steps, alice: &Person, bob: &Person, room: &Room) {
    steps
        .step("the hierarchy of a space", hierarchy(alice, room))
        .await;
    steps
        .step("search", async {
            let mut what = search_events::v3::Categories::new();
            what.room_events = Some(search_events::v3::Criteria::new("hello".to_owned()));
            let found = alice
                .client
                .send(search_events::v3::Request::new(what))
                .await?;
            // An encrypted room has nothing that a homeserver could search.
            ensure!(
                found.search_categories.room_events.results.is_empty(),
                "it found secrets"
            );
            Ok(())
        })
        .await;
    steps
        .step("profile", async {
            alice
                .client
                .account()
                .set_display_name(Some("Alice R"))
                .await?;
            let profile = bob
                .client
                .account()
                .fetch_user_profile_of(&alice.id)
                .await?;
            let name = profile.get("displayname").context("no name")?;
            ensure!(name.as_str() == Some("Alice R"), "{name}");
            Ok(())
        })
        .await;
    steps
        .step("devices", async {
            let devices = alice.client.devices().await?.devices;
            let own = alice.client.device_id().context("no device")?;
            ensure!(
                devices.iter().any(|device| device.device_id == own),
                "not the own one"
            );
            Ok(())
        })
        .await;
}

async fn hierarchy(alice: &Person, room: &Room) -> Result<()> {
    let mut creation = create_room::v3::CreationContent::new();
    creation.room_type = Some(RoomType::Space);
    let mut request = create_room::v3::Request::new();
    request.creation_content = Some(Raw::new(&creation)?);
    let space = alice.client.create_room(request).await?;
    let via = vec![alice.id.server_name().to_owned()];
    space
        .send_state_event_for_key(room.room_id(), SpaceChildEventContent::new(via))
        .await?;
    let asked = get_hierarchy::v1::Request::new(space.room_id().to_owned());
    let rooms = alice.client.send(asked).await?.rooms;
    let ids: Vec<_> = rooms
        .iter()
        .map(|one| one.summary.room_id.as_str())
        .collect();
    ensure!(
        ids == [space.room_id().as_str(), room.room_id().as_str()],
        "{ids:?}"
    );
    Ok(())
}

/// Kick, invite again, upgrade, leave.
pub async fn part(steps: &mut Steps, alice: &Person, bob: &Person, room: &Room) {
    let id = room.room_id();
    steps
        .step("kick", async {
            room.kick_user(&bob.id, Some("out")).await?;
            bob.wait_for(id, RoomState::Left).await
        })
        .await;
    steps
        .step("invite again", async {
            room.invite_user_by_id(&bob.id).await?;
            bob.wait_for(id, RoomState::Invited).await?;
            bob.room(id)?.join().await?;
            bob.wait_for(id, RoomState::Joined).await
        })
        .await;
    steps
        .step("upgrade the room", async {
            let asked = get_capabilities::v3::Request::new();
            let version = alice
                .client
                .send(asked)
                .await?
                .capabilities
                .room_versions
                .default;
            let request = upgrade_room::v3::Request::new(id.to_owned(), version);
            let next = alice.client.send(request).await?.replacement_room;
            let successor = until(|| async { room.successor_room() }).await?;
            ensure!(successor.room_id == next, "the tombstone points elsewhere");
            let next = alice.wait_for(&next, RoomState::Joined).await?;
            until(|| async { next.encryption_state().is_encrypted().then_some(()) }).await
        })
        .await;
    steps
        .step("leave", async {
            room.leave().await?;
            alice.wait_for(id, RoomState::Left).await
        })
        .await;
}
