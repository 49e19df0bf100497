//! Reports of rooms, events and users, kept for the admins.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#reporting-content>

use ruma::api::client::{
    reporting::report_user,
    room::{report_content, report_room},
};
use serde_json::{Value, json};

use super::events::visible_event;
use crate::{
    caller::Caller,
    clock,
    error::{Error, Result},
    http::{Call, Routes},
    limits::{REPORT_REASON_MAX_BYTES, REPORTS_PER_USER},
    rooms::pagination::TimelineReader,
    services::{AppState, Services},
    store::{Exists, tables},
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(report_event)
        .add(report_a_room)
        .add(report_a_user)
}

async fn report_event(
    services: AppState,
    call: Call<report_content::v3::Request>,
) -> Result<report_content::v3::Response> {
    let body = &call.body;
    let reader = TimelineReader::new(&services.rooms, &call.caller.user_id, &body.room_id)
        .map_err(|_| Error::not_found("There is no such event, or you may not read it"))?;
    visible_event(&services, &reader, &body.room_id, &body.event_id)?;
    let what = json!({ "room_id": body.room_id, "event_id": body.event_id });
    keep(&services, &call.caller, what, body.reason.as_deref()).await?;
    Ok(report_content::v3::Response::default())
}

async fn report_a_room(
    services: AppState,
    call: Call<report_room::v3::Request>,
) -> Result<report_room::v3::Response> {
    if !services.rooms.exists(&call.body.room_id)? {
        return Err(Error::not_found("There is no such room"));
    }
    let what = json!({ "room_id": call.body.room_id });
    keep(&services, &call.caller, what, Some(&call.body.reason)).await?;
    Ok(report_room::v3::Response::default())
}

/// Whether the user exists is nobody's business: a report is taken in any case.
async fn report_a_user(
    services: AppState,
    call: Call<report_user::v3::Request>,
) -> Result<report_user::v3::Response> {
    if services.accounts.exists(&call.body.user_id)? {
        let what = json!({ "user_id": call.body.user_id });
        keep(&services, &call.caller, what, Some(&call.body.reason)).await?;
    }
    Ok(report_user::v3::Response::default())
}

async fn keep(
    services: &Services,
    caller: &Caller,
    mut report: Value,
    reason: Option<&str>,
) -> Result<()> {
    let reason = reason.unwrap_or_default();
    let end = reason.floor_char_boundary(REPORT_REASON_MAX_BYTES);
    report["reason"] = json!(reason[..end]);
    report["by"] = json!(caller.user_id);
    report["time"] = json!(clock::now());
    tracing::warn!(user.id = %caller.user_id, %report, "content reported");
    let user = caller.user_id.clone();
    let _turn = services.accounts.user_locks.lock(&user).await;
    let mut write = services.stream.begin_write();
    let by_user = services.store.scan_back::<tables::ReportsBy>((&user,));
    for key in by_user.keys().skip(REPORTS_PER_USER - 1) {
        let (_, oldest) = key?;
        write.batch().delete::<tables::Reports>((oldest,))?;
        write.batch().delete::<tables::ReportsBy>((&user, oldest))?;
    }
    let slot = write.reserve_position();
    write.add_row(move |batch, positions| {
        let position = positions.of(slot);
        batch.put::<tables::Reports>((position,), &report)?;
        batch.put::<tables::ReportsBy>((&user, position), &Exists {})
    });
    services.stream.commit(write).await?;
    Ok(())
}
