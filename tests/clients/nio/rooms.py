"""Life in a room, from its creation to the day everybody has left."""

import io

import nio
from steps import check

# nio 0.26 computes power levels as rooms did before version 12, in which creators stand in no list.
ROOM_VERSION = "11"
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c626460f85f0f0002870180eb47ba920000000049454e44ae426082"
)


async def meeting(step, alice, bob):
    """Alice makes a room and invites Bob; gives its id."""
    made = await step(
        "create a room", alice.room_create, name="the room", topic="t", invite=[bob.user_id], room_version=ROOM_VERSION
    )
    room = made and made.room_id
    await step("the invitation arrives", bob.synced_until, lambda _: room in bob.client.invited_rooms)
    await step("join", bob.join, room)
    await step("the joined room is in sync", bob.synced_until, lambda _: room in bob.rooms)
    return room


async def life(step, alice, bob, room):
    """Everything one does with messages."""
    hello = await step("send a message", alice.say, room, "hello bob")
    await step("the message arrives", bob.sees, room, lambda event: event.event_id == hello)
    await step("unread messages are counted", bob.synced_until, lambda _: bob.rooms[room].unread_notifications >= 1)
    await step("mark as read", bob.room_read_markers, room, hello, hello)
    await step("reading sets the count to nothing", bob.synced_until, lambda _: not bob.rooms[room].unread_notifications)
    await step("a receipt alone", bob.update_receipt_marker, room, hello)
    await step("the receipt is seen", alice.synced_until, lambda _: reads(alice, room, bob) == hello)
    await step("an answer", bob.say, room, "hello alice")
    await related(step, alice, bob, room, hello)
    await step("typing", bob.room_typing, room, True, 20_000)
    await step("typing is seen", alice.synced_until, lambda _: bob.user_id in alice.rooms[room].typing_users)
    await reading(step, alice, bob, room, hello)

    async def redacted():
        slip = await alice.say(room, "a slip")
        await alice.room_redact(room, slip, "a slip")
        return await bob.sees(room, lambda event: isinstance(event, nio.RedactionEvent) and event.redacts == slip)

    await step("a redaction is seen", redacted)


def reads(person, room, other):
    receipt = person.rooms[room].read_receipts.get(other.user_id)
    return receipt and receipt.event_id


async def related(step, alice, bob, room, hello):
    """Reaction, edit, thread."""
    annotation = {"rel_type": "m.annotation", "event_id": hello, "key": "👍"}
    await step("react", bob.room_send, room, "m.reaction", {"m.relates_to": annotation})
    await step(
        "edit",
        alice.say,
        room,
        "* hi",
        **{
            "m.new_content": {"msgtype": "m.text", "body": "hi"},
            "m.relates_to": {"rel_type": "m.replace", "event_id": hello},
        },
    )
    thread = {"rel_type": "m.thread", "event_id": hello}
    await step("reply in a thread", bob.say, room, "in the thread", **{"m.relates_to": thread})

    async def relations():
        kinds = [event.source["type"] async for event in alice.client.room_get_event_relations(room, hello)]
        return sorted(kinds) == ["m.reaction", "m.room.message", "m.room.message"]

    async def threads():
        return [event.event_id async for event in alice.client.room_get_threads(room)] == [hello]

    await step("relations: reaction, edit and thread", relations)
    await step("list the threads", threads)


async def reading(step, alice, bob, room, hello):
    """What one asks about the past and the state."""

    async def event():
        return (await bob.room_get_event(room, hello)).event.event_id == hello

    async def context():
        return (await bob.room_context(room, hello)).event.event_id == hello

    async def messages():
        since = (await bob.sync(timeout=0)).next_batch
        page = await bob.room_messages(room, since, limit=50)
        return any(event.event_id == hello for event in page.chunk)

    async def state():
        types = {event["type"] for event in (await bob.room_get_state(room)).events}
        return {"m.room.create", "m.room.power_levels", "m.room.name"} <= types

    async def name():
        return (await bob.room_get_state_event(room, "m.room.name")).content == {"name": "the room"}

    async def members():
        return {one.user_id for one in (await bob.joined_members(room)).members} == {alice.user_id, bob.user_id}

    async def rooms():
        return room in (await bob.joined_rooms()).rooms

    async def topic():
        await alice.update_room_topic(room, "another topic")
        return await bob.synced_until(lambda _: bob.rooms[room].topic == "another topic")

    for look, what in (
        (event, "one event"),
        (context, "the context of an event"),
        (messages, "page back"),
        (state, "all state"),
        (name, "one state event"),
        (members, "joined members"),
        (rooms, "joined rooms"),
        (topic, "a new topic is seen"),
    ):
        await step(what, look)


async def media(step, alice, bob, room):
    async def up():
        sent, _ = await alice.client.upload(
            lambda *_: io.BytesIO(PICTURE), content_type="image/png", filename="dot.png", filesize=len(PICTURE)
        )
        return sent.content_uri

    uri = await step("upload an image", up)

    async def show():
        content = {"msgtype": "m.image", "body": "dot.png", "url": uri, "info": {"mimetype": "image/png"}}
        await alice.room_send(room, "m.room.message", content)
        return await bob.sees(room, lambda event: isinstance(event, nio.RoomMessageImage) and event.url == uri)

    async def down():
        return (await bob.download(mxc=uri)).body == PICTURE

    async def thumbnail():
        server, media_id = uri.removeprefix("mxc://").split("/")
        return (await bob.thumbnail(server, media_id, 32, 32)).content_type.startswith("image/")

    async def size():
        return (await alice.content_repository_config()).upload_size > 0

    await step("send the image", show)
    await step("download the image", down)
    await step("a thumbnail of the image", thumbnail)
    await step("how large an upload may be", size)


async def accounts(step, alice, bob, room):
    """What belongs to a person and not to a room."""

    async def who():
        return (await alice.whoami()).user_id == alice.user_id

    async def named():
        await alice.set_displayname("Alice N")
        return (await bob.get_displayname(alice.user_id)).displayname == "Alice N"

    async def profile():
        return (await bob.get_profile(alice.user_id)).displayname == "Alice N"

    async def renamed():
        await alice.update_device(alice.client.device_id, {"display_name": "renamed"})
        return "renamed" in [device.display_name for device in (await alice.devices()).devices]

    async def to_device():
        await alice.to_device(nio.ToDeviceMessage("org.test", bob.user_id, bob.client.device_id, {"x": 1}))
        # An unknown type is what nio keeps as it came.
        return await bob.synced_until(lambda answer: any(e.source["content"] == {"x": 1} for e in answer.to_device_events))

    async def alias():
        name = f"#{alice.name}:{alice.user_id.split(':', 1)[1]}"
        await alice.room_put_alias(name, room)
        check((await bob.room_resolve_alias(name)).room_id == room, "it leads elsewhere")
        await alice.room_delete_alias(name)

    async def muted():
        await alice.set_pushrule("global", nio.PushRuleKind.room, room, actions=[])
        await alice.delete_pushrule("global", nio.PushRuleKind.room, room)

    for do, what in (
        (who, "who am I"),
        (named, "display name"),
        (profile, "profile"),
        (renamed, "rename a device"),
        (to_device, "a message to a device"),
        (alias, "an alias leads to the room"),
        (muted, "a push rule for the room"),
    ):
        await step(what, do)
    await step("an OpenID token", alice.get_openid_token, alice.user_id)
    await step("upload a filter", alice.upload_filter, room={"timeline": {"limit": 1}})
    await step("set presence", alice.set_presence, "online")
    await step("get presence", bob.get_presence, alice.user_id)
    await step("public rooms", alice.list_public_rooms)
    await step("is the room published?", alice.room_get_visibility, room)


async def spaces(step, alice, bob, room):
    made = await step("create a space", alice.room_create, name="the space", space=True, room_version=ROOM_VERSION)
    space = made and made.room_id

    async def hierarchy():
        via = {"via": [alice.user_id.split(":", 1)[1]]}
        await alice.room_put_state(space, "m.space.child", via, state_key=room)
        found = (await alice.space_get_hierarchy(space)).rooms
        check(found[0]["room_type"] == "m.space", "the space does not come first")
        return [one["room_id"] for one in found] == [space, room]

    await step("the hierarchy of the space", hierarchy)


async def leaving(step, alice, bob, room):
    """Kick, invite again, ban, upgrade, leave."""
    him = bob.user_id

    async def kicked():
        await alice.room_kick(room, him, "out")
        return await bob.synced_until(lambda answer: room in answer.rooms.leave)

    async def invited():
        await alice.room_invite(room, him)
        await bob.synced_until(lambda _: room in bob.client.invited_rooms)
        await bob.join(room)

    async def upgraded():
        successor = (await alice.room_upgrade(room, ROOM_VERSION)).room_id
        grave = (await alice.room_get_state_event(room, "m.room.tombstone")).content
        check(grave["replacement_room"] == successor, "the tombstone points elsewhere")
        created = (await alice.room_get_state_event(successor, "m.room.create")).content
        return created["predecessor"]["room_id"] == room

    await step("kick", kicked)
    await step("invite again", invited)
    await step("ban", alice.room_ban, room, him)
    await step("unban", alice.room_unban, room, him)
    await step("forget", bob.room_forget, room)
    await step("upgrade the room", upgraded)
    await step("leave", alice.room_leave, room)
