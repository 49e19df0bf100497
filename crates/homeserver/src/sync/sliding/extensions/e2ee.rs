//! Whose keys changed, and how many of the device's own keys are left.
//!
//! Spec: <https://github.com/matrix-org/matrix-spec-proposals/pull/3884>

use ruma::api::client::sync::sync_events::DeviceLists;

use super::Answer;
use crate::{error::Result, keys};

pub(super) fn fill(answer: &mut Answer<'_>) -> Result<bool> {
    let Some(device) = &answer.sync_request.viewer.device_id else {
        return Ok(false);
    };
    let (store, user) = (&answer.ctx.store, answer.sync_request.user());
    let response = &mut answer.extensions.e2ee;
    response.device_one_time_keys_count = keys::one_time_key_counts(store, user, device)?;
    response.device_unused_fallback_key_types =
        Some(keys::unused_fallback_types(store, user, device)?);
    // A client that begins anew looks at everybody's keys by itself.
    if !answer.base.is_first() {
        let (from, to) = (answer.base.position, answer.next.position);
        let between = crate::sync::device_lists::between(&answer.ctx.rooms, user, from, to)?;
        let mut lists = DeviceLists::new();
        lists.changed = between.changed.into_iter().collect();
        lists.left = between.left.into_iter().collect();
        response.device_lists = lists;
    }
    let left = serde_json::to_string(&(
        &response.device_one_time_keys_count,
        &response.device_unused_fallback_key_types,
    ))?;
    let has_changes = answer.base.keys.as_ref() != Some(&left) || !response.device_lists.is_empty();
    answer.next.keys = Some(left);
    Ok(has_changes)
}
