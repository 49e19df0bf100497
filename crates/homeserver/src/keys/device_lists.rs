//! Whose devices and keys changed, and whom that concerns: everybody who shares a room with them.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#tracking-the-device-list-for-a-user>

use std::collections::BTreeSet;

use ruma::{OwnedUserId, UserId};

use crate::{
    error::Result,
    store::{Store, tables},
    stream::{Change, Position, WakeTarget, Write},
};

/// For a user in more rooms than this, a change of keys wakes everybody instead of looking for who shares one of them.
const ROOMS_TOUCHED_MAX: usize = 100;

/// Records that the devices or keys of a user changed. The write is committed with [`wake_targets`].
pub fn record_device_list_change(write: &mut Write, user: &UserId) {
    let slot = write.reserve_position();
    let user = user.to_owned();
    write.add_row(move |batch, positions| {
        let position = positions.of(slot);
        batch.put::<tables::DeviceListChanges>((position,), &user)?;
        batch.put::<tables::Changes>((position,), &Change::DeviceList(user))
    });
}

/// Who has to look when the keys of this user changed: the user, and everybody who shares a room with them.
pub fn wake_targets(store: &Store, user: &UserId) -> Result<Vec<WakeTarget>> {
    let mut touches = vec![WakeTarget::User(user.to_owned())];
    for row in store.scan::<tables::Memberships>((user,)) {
        let ((_, room), member) = row?;
        if member.is_joined() {
            touches.push(WakeTarget::Room(room));
        }
        if touches.len() > ROOMS_TOUCHED_MAX + 1 {
            return Ok(vec![WakeTarget::Everyone]);
        }
    }
    Ok(touches)
}

/// Whose devices or keys changed after `from`, up to and with `to`.
pub fn changes_between(
    store: &Store,
    from: Position,
    to: Position,
) -> Result<BTreeSet<OwnedUserId>> {
    let mut users = BTreeSet::new();
    for row in store.scan_from::<tables::DeviceListChanges>((), (from.next(),)) {
        let ((position,), user) = row?;
        if position > to {
            break;
        }
        users.insert(user);
    }
    Ok(users)
}
