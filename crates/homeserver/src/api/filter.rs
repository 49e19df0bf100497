//! Filters that a client keeps with the server, to name them by an id in each sync.
//!
//! The id is made of the filter's content: the same filter has the same id, and a client that stores it at each start makes no
//! new row. Spec: <https://spec.matrix.org/v1.19/client-server-api/#filtering>

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ruma::api::client::filter::{create_filter, get_filter};
use sha2::{Digest, Sha256};

use super::account_data::check_own_user;
use crate::{
    error::{Error, Result},
    http::{Call, Routes},
    limits::{FILTER_MAX_BYTES, FILTERS_PER_USER},
    services::AppState,
    store::tables,
};

/// How many bytes of the digest an id has.
const ID_BYTES: usize = 12;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(create).add(get)
}

async fn create(
    services: AppState,
    call: Call<create_filter::v3::Request>,
) -> Result<create_filter::v3::Response> {
    let user = &call.body.user_id;
    check_own_user(&call.caller, user)?;
    let filter = serde_json::to_value(&call.body.filter)?;
    let text = filter.to_string();
    if text.len() > FILTER_MAX_BYTES {
        return Err(Error::too_large(format!(
            "Filter too large (max {FILTER_MAX_BYTES} bytes)"
        )));
    }
    let digest = Sha256::digest(text.as_bytes());
    let id = URL_SAFE_NO_PAD.encode(&digest[..ID_BYTES]);
    let key = (&**user, &*id);
    let _turn = services.accounts.user_locks.lock(user).await;
    if !services.store.contains::<tables::Filters>(key)? {
        let filters = services.store.scan::<tables::Filters>((&**user,)).keys();
        if filters.take(FILTERS_PER_USER).count() >= FILTERS_PER_USER {
            return Err(Error::too_large(format!(
                "Too many filters (max {FILTERS_PER_USER} per user)"
            )));
        }
        services.store.put::<tables::Filters>(key, &filter).await?;
    }
    Ok(create_filter::v3::Response::new(id))
}

async fn get(
    services: AppState,
    call: Call<get_filter::v3::Request>,
) -> Result<get_filter::v3::Response> {
    let (user, id) = (&call.body.user_id, &call.body.filter_id);
    check_own_user(&call.caller, user)?;
    let stored = services
        .store
        .get::<tables::Filters>((&**user, &**id))?
        .ok_or_else(|| Error::not_found("There is no such filter"))?;
    Ok(get_filter::v3::Response::new(serde_json::from_value(
        stored,
    )?))
}
