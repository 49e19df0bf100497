//! Cross-signing keys and the signatures that connect them.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#cross-signing>

use ruma::{
    OwnedUserId,
    api::client::keys::{upload_signatures, upload_signing_keys},
};
use serde_json::json;

use crate::{
    accounts::{credential::ProvenPassword, uia},
    error::{Error, Result},
    http::{Call, Routes},
    keys::{self, cross_signing, device_lists, signatures, signatures::SignatureFailure},
    limits::SIGNED_KEYS_PER_REQUEST,
    services::{AppState, Services},
    stream::WakeTarget,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(upload_keys).add(upload_signatures)
}

async fn upload_keys(
    services: AppState,
    call: Call<upload_signing_keys::v3::Request>,
) -> Result<upload_signing_keys::v3::Response> {
    let user = &call.caller.user_id;
    let mut proven = None;
    let (_alone, new) = loop {
        let alone = services.keys.lock([&**user]).await;
        let new = cross_signing::new_keys(&services.store, user, &call.body)?;
        if proven.is_some() || cross_signing::is_first(&services.store, user, &new)? {
            break (alone, new);
        }
        // Checking a password takes long, and others wait for the lock.
        drop(alone);
        proven = Some(authorize(&services, &call).await?);
    };
    let _changing = services.accounts.lock(user).await;
    services
        .accounts
        .check_password_unchanged(user, proven.flatten().as_ref())?;
    if new.is_empty() {
        return Ok(upload_signing_keys::v3::Response::new());
    }
    let mut write = services.stream.begin_write();
    cross_signing::set(&services.store, write.batch(), user, &new)?;
    keys::record_device_list_change(&mut write, user);
    write.wake_after_commit(device_lists::wake_targets(&services.store, user)?);
    services.stream.commit(write).await?;
    Ok(upload_signing_keys::v3::Response::new())
}

/// Whoever replaces the keys proves that it is the account's owner, not somebody with a stolen token.
async fn authorize(
    services: &Services,
    call: &Call<upload_signing_keys::v3::Request>,
) -> Result<Option<ProvenPassword>> {
    uia::authorize(
        &services.accounts,
        &call.caller,
        &call.facts,
        call.body.auth.as_ref(),
    )
    .await
}

async fn upload_signatures(
    services: AppState,
    call: Call<upload_signatures::v3::Request>,
) -> Result<upload_signatures::v3::Response> {
    let signer = &call.caller.user_id;
    let signed = &call.body.signed_keys;
    // Each is verified while the keys of their owners are locked.
    if signed
        .values()
        .map(|objects| objects.iter().count())
        .sum::<usize>()
        > SIGNED_KEYS_PER_REQUEST
    {
        return Err(Error::too_large(format!(
            "One request can have {SIGNED_KEYS_PER_REQUEST} signed keys"
        )));
    }
    let mut answer = upload_signatures::v3::Response::new();
    for (owner, objects) in signed {
        // One owner after the other: whoever signs for many holds up each of them only for their own part.
        let alone = services.keys.lock([&**owner, &**signer]).await;
        let mut write = services.stream.begin_write();
        write.wake_after_commit([WakeTarget::User(signer.clone())]);
        for (name, object) in objects {
            let added =
                signatures::add(&services.store, write.batch(), signer, owner, name, object)?;
            if let Err(unusable) = added {
                fail(&mut answer, owner, name, unusable)?;
            }
        }
        if !write.is_empty() {
            keys::record_device_list_change(&mut write, owner);
            if owner == signer {
                write.wake_after_commit(device_lists::wake_targets(&services.store, owner)?);
            }
            services.stream.commit(write).await?;
        }
        drop(alone);
    }
    Ok(answer)
}

fn fail(
    answer: &mut upload_signatures::v3::Response,
    owner: &OwnedUserId,
    name: &str,
    unusable: SignatureFailure,
) -> Result<()> {
    let failure = json!({ "errcode": unusable.code(), "error": unusable.to_string() });
    let failures = answer.failures.entry(owner.clone()).or_default();
    failures.insert(name.to_owned(), serde_json::from_value(failure)?);
    Ok(())
}
