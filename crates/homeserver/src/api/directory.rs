//! The list of public rooms. Spec: <https://spec.matrix.org/v1.19/client-server-api/#published-room-directory>

use ruma::api::{
    auth_scheme::AccessToken,
    client::{
        appservice,
        directory::{
            get_public_rooms, get_public_rooms_filtered, get_room_visibility, set_room_visibility,
        },
        room::Visibility,
    },
};

use crate::{
    caller::RequestMetadata,
    error::{Error, Result},
    http::{Call, IdentifyCaller, Routes},
    rooms::{
        self,
        directory::{Search, page, publish},
        unknown_room,
    },
    services::{AppState, Services},
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(list)
        .add_waiting(search)
        .add(get)
        .add(set)
        .add(set_of_network)
}

async fn list(
    services: AppState,
    call: Call<get_public_rooms::v3::Request>,
) -> Result<get_public_rooms::v3::Response> {
    may_list(&services, &call.facts).await?;
    let search = Search {
        limit: call.body.limit,
        since: call.body.since,
        ..Search::default()
    };
    let page = page(&services.rooms, &search)?;
    let mut response = get_public_rooms::v3::Response::new(page.chunk);
    (response.next_batch, response.prev_batch) = (page.next, page.prev);
    response.total_room_count_estimate = Some(page.total);
    Ok(response)
}

/// People without an account see the list only where the configuration says so.
async fn may_list(services: &Services, facts: &RequestMetadata) -> Result<()> {
    if services
        .config
        .rooms
        .allow_public_room_directory_without_auth
        && facts.token.is_none()
    {
        return Ok(());
    }
    AccessToken::identify(&services.accounts, &services.appservices, facts)
        .await
        .map(drop)
}

async fn search(
    services: AppState,
    call: Call<get_public_rooms_filtered::v3::Request>,
) -> Result<get_public_rooms_filtered::v3::Response> {
    let search = Search {
        limit: call.body.limit,
        since: call.body.since,
        filter: call.body.filter,
        network: call.body.room_network,
    };
    let page = page(&services.rooms, &search)?;
    let mut response = get_public_rooms_filtered::v3::Response::new();
    response.chunk = page.chunk;
    (response.next_batch, response.prev_batch) = (page.next, page.prev);
    response.total_room_count_estimate = Some(page.total);
    Ok(response)
}

async fn get(
    services: AppState,
    call: Call<get_room_visibility::v3::Request>,
) -> Result<get_room_visibility::v3::Response> {
    let room = &call.body.room_id;
    if !services.rooms.exists(room)? {
        return Err(unknown_room());
    }
    let visibility = if rooms::directory::is_public(&services.rooms, room)? {
        Visibility::Public
    } else {
        Visibility::Private
    };
    Ok(get_room_visibility::v3::Response::new(visibility))
}

async fn set(
    services: AppState,
    call: Call<set_room_visibility::v3::Request>,
) -> Result<set_room_visibility::v3::Response> {
    let room = &call.body.room_id;
    rooms::check_not_suspended(&services.rooms, &call.caller)?;
    rooms::directory::check_may_publish(&services.rooms, &call.caller.user_id, room)?;
    publish(&services.rooms, "", room, is_public(&call.body.visibility)?).await?;
    Ok(set_room_visibility::v3::Response::new())
}

async fn set_of_network(
    services: AppState,
    call: Call<appservice::set_room_visibility::v3::Request>,
) -> Result<appservice::set_room_visibility::v3::Response> {
    let room = &call.body.room_id;
    if !services.rooms.exists(room)? {
        return Err(unknown_room());
    }
    let network = format!("{}|{}", call.caller.id(), call.body.network_id);
    publish(
        &services.rooms,
        &network,
        room,
        is_public(&call.body.visibility)?,
    )
    .await?;
    Ok(appservice::set_room_visibility::v3::Response::new())
}

fn is_public(visibility: &Visibility) -> Result<bool> {
    match visibility {
        Visibility::Public => Ok(true),
        Visibility::Private => Ok(false),
        _ => Err(Error::invalid("A room is public or private")),
    }
}
