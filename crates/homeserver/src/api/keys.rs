//! Keys of devices: uploading, asking for them, claiming one-time keys, and who changed theirs.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#key-management-api>

use ruma::{
    OwnedDeviceId, OwnedUserId, UserId,
    api::client::keys::{claim_keys, get_key_changes, get_keys, upload_keys},
    encryption::KeyUsage,
};

use crate::{
    error::{Error, Result},
    http::{Call, Routes},
    keys::{self, cross_signing, device_lists, devices, one_time},
    services::{AppState, Services},
    stream::{Position, WakeTarget},
    sync,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(upload)
        .add_waiting(query)
        .add(claim)
        .add(changes)
}

async fn upload(
    services: AppState,
    call: Call<upload_keys::v3::Request>,
) -> Result<upload_keys::v3::Response> {
    let (user, device, body) = (&call.caller.user_id, call.caller.device()?, &call.body);
    let _alone = services.keys.lock([&**user]).await;
    let mut write = services.stream.begin_write();
    write.wake_after_commit([WakeTarget::User(user.clone())]);
    if let Some(given) = &body.device_keys
        && devices::set(&services.store, write.batch(), user, device, given)?
    {
        keys::record_device_list_change(&mut write, user);
        write.wake_after_commit(device_lists::wake_targets(&services.store, user)?);
    }
    let (new, fallback) = (&body.one_time_keys, &body.fallback_keys);
    one_time::add(&services.store, write.batch(), user, device, new)?;
    one_time::set_fallback(&services.store, write.batch(), user, device, fallback)?;
    if !write.is_empty() {
        // Another sync of the same device says how many keys there are, too.
        write.reserve_position();
        services.stream.commit(write).await?;
    }
    let counts = keys::one_time_key_counts(&services.store, user, device)?;
    Ok(upload_keys::v3::Response::new(counts))
}

async fn query(
    services: AppState,
    call: Call<get_keys::v3::Request>,
) -> Result<get_keys::v3::Response> {
    let asker = &call.caller.user_id;
    let mut answer = get_keys::v3::Response::new();
    for (user, wanted) in call.body.device_keys {
        if services.accounts.exists(&user)? {
            describe(&services, asker, &user, wanted, &mut answer)?;
        }
    }
    Ok(answer)
}

/// Adds what `asker` may know of the keys of `user`.
fn describe(
    services: &Services,
    asker: &UserId,
    user: &OwnedUserId,
    wanted: Vec<OwnedDeviceId>,
    answer: &mut get_keys::v3::Response,
) -> Result<()> {
    let store = &services.store;
    let wanted = if wanted.is_empty() {
        devices::with_keys(store, user)?
    } else {
        wanted
    };
    let described = answer.device_keys.entry(user.clone()).or_default();
    for device in wanted {
        if let Some(keys) = devices::get(store, user, &device, asker)? {
            described.insert(device, keys);
        }
    }
    let shown = |usage| cross_signing::visible_key(store, user, &usage, asker);
    let (masters, selves) = (&mut answer.master_keys, &mut answer.self_signing_keys);
    masters.extend(shown(KeyUsage::Master)?.map(|key| (user.clone(), key)));
    selves.extend(shown(KeyUsage::SelfSigning)?.map(|key| (user.clone(), key)));
    if asker == user {
        let own = shown(KeyUsage::UserSigning)?;
        answer
            .user_signing_keys
            .extend(own.map(|key| (user.clone(), key)));
    }
    Ok(())
}

async fn claim(
    services: AppState,
    call: Call<claim_keys::v3::Request>,
) -> Result<claim_keys::v3::Response> {
    let claimed = one_time::claim(&services.keys, &call.body.one_time_keys).await?;
    Ok(claim_keys::v3::Response::new(claimed))
}

async fn changes(
    services: AppState,
    call: Call<get_key_changes::v3::Request>,
) -> Result<get_key_changes::v3::Response> {
    let (from, to) = (position(&call.body.from)?, position(&call.body.to)?);
    let to = to.min(services.stream.visible());
    let lists = sync::device_lists::between(&services.rooms, &call.caller.user_id, from, to)?;
    Ok(get_key_changes::v3::Response::new(
        lists.changed.into_iter().collect(),
        lists.left.into_iter().collect(),
    ))
}

/// The position in a sync token: its first number.
fn position(token: &str) -> Result<Position> {
    let digits = token.trim_start_matches(|letter: char| !letter.is_ascii_digit());
    let end = digits
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end]
        .parse()
        .map(Position)
        .map_err(|_| Error::invalid("from and to are tokens of a sync"))
}
