"""mautrix as a driver: the library that most bridges stand on, as an echo bot with ghosts. Its person is at matrix-nio.

    main.py URL --registration FILE --domain NAME [--devices] [--registration-token T]

`--devices` for a homeserver that tells application services of devices and keys (MSC3202, MSC4203).
"""

import argparse
import asyncio
import logging
import sys
from pathlib import Path as Folder
from urllib.parse import urlsplit

import nio
import yaml
from mautrix.api import Method, Path
from mautrix.appservice import AppService, ASStateStore
from mautrix.client.state_store import MemoryStateStore
from mautrix.types import EventType, Membership, RoomCreatePreset

sys.path.append(str(Folder(__file__).parent.parent / "nio"))
from person import Person  # noqa: E402
from steps import Steps, check, fresh  # noqa: E402

# Between two looks whether something has come.
LOOK_SECONDS = 0.05
# The bytes of an image that nobody decodes.
DOT = b"dot"


class Memory(MemoryStateStore, ASStateStore):
    """What mautrix remembers of rooms and ghosts, for as long as it runs."""

    def __init__(self):
        ASStateStore.__init__(self)
        MemoryStateStore.__init__(self)


class Bridge:
    def __init__(self, url, domain, registration):
        self.domain = domain
        self.heard = []
        self.to_device = []
        self.keys = {}
        self.changed = set()
        self.asked = []
        self.listen = urlsplit(registration["url"])
        self.appservice = AppService(
            server=url,
            domain=domain,
            id=registration["id"],
            as_token=registration["as_token"],
            hs_token=registration["hs_token"],
            bot_localpart=registration["sender_localpart"],
            state_store=Memory(),
            query_user=self.query_user,
            query_alias=self.query_alias,
            ephemeral_events=True,
            encryption_events=True,
        )
        self.appservice.matrix_event_handler(self.hear)
        self.appservice.to_device_handler = self.hear_device
        self.appservice.otk_handler = self.hear_keys
        self.appservice.device_list_handler = self.hear_changes

    def ghost(self, name):
        return f"@echo_{name}:{self.domain}"

    def act_as(self, user):
        return self.appservice.intent.user(user)

    async def begin(self):
        await self.appservice.start(self.listen.hostname, self.listen.port)
        await self.appservice.intent.ensure_registered()

    async def query_user(self, user):
        self.asked.append(user)
        await self.act_as(user).ensure_registered()
        return {}

    async def query_alias(self, alias):
        local = alias.removeprefix("#").split(":")[0]
        await self.appservice.intent.create_room(
            alias_localpart=local, preset=RoomCreatePreset.PUBLIC, name="by alias"
        )
        return {"made": True}

    async def hear(self, event):
        self.heard.append(event)
        if event.type == EventType.ROOM_MEMBER and event.content.membership == Membership.INVITE:
            await self.act_as(event.state_key).ensure_joined(event.room_id)
        elif event.type == EventType.ROOM_MESSAGE and not event.sender.startswith("@echo"):
            await self.act_as(self.ghost("two")).send_text(event.room_id, f"echo {event.content.body}")

    async def hear_device(self, event):
        self.to_device.append(event)

    async def hear_keys(self, counts):
        self.keys.update(counts)

    async def hear_changes(self, lists):
        self.changed.update(lists.changed)

    async def hears(self, look):
        """Waits until something that was heard passes `look`. The step's own limit ends the wait."""
        return await until(lambda: next((event for event in list(self.heard) if look(event)), None))


async def until(look):
    while True:
        got = look()
        if got:
            return got
        await asyncio.sleep(LOOK_SECONDS)


async def talk(step, bridge, person):
    """From the invitation of somebody unknown to an echo. Gives the room."""
    one, two = bridge.ghost("one"), bridge.ghost("two")

    async def named():
        intent = bridge.act_as(one)
        await intent.ensure_registered()
        await intent.set_displayname("One")
        return await intent.get_displayname(one) == "One"

    await step("a ghost with a name", named)
    room = await step("a room with somebody whom nobody made", invite, person, [one, two])

    async def joined():
        # Both may come with one answer.
        missing = {one, two}

        def look(answer):
            info = answer.rooms.join.get(room)
            events = info.timeline.events if info else []
            missing.difference_update(event.state_key for event in events if joins(event))
            return not missing

        return await person.synced_until(look)

    await step("both join", joined)

    async def asked_once():
        check(bridge.asked.count(two) == 1, f"asked for {bridge.asked}")
        check(one not in bridge.asked, "asked for somebody who was there")

    await step("it was asked for the unknown one, and only for that one", asked_once)
    said = await step("say something", person.say, room, "ping")
    await step("it is heard", bridge.hears, lambda event: getattr(event, "event_id", None) == said)
    echo = lambda event: event.sender == two and getattr(event, "body", "") == "echo ping"  # noqa: E731
    await step("its echo is seen", person.sees, room, echo)

    async def once():
        times = sum(getattr(event, "event_id", None) == said for event in bridge.heard)
        check(times == 1, f"heard {times} times")

    await step("it is heard once", once)
    return room, said


async def invite(person, users):
    return (await person.room_create(invite=users)).room_id


def joins(event):
    return isinstance(event, nio.RoomMemberEvent) and event.membership == "join"


async def moment(step, bridge, person, room, said):
    """What is of the moment: typing and receipts, both ways."""
    two = bridge.ghost("two")
    heard = bridge.hears
    await step("type", person.room_typing, room, True, 30000)
    await step(
        "typing is heard",
        heard,
        lambda event: event.type == EventType.TYPING and person.user_id in event.content.user_ids,
    )
    await step("type no more", person.room_typing, room, False)
    await step(
        "that is heard, too",
        heard,
        lambda event: event.type == EventType.TYPING and person.user_id not in event.content.user_ids,
    )
    await step("read", person.update_receipt_marker, room, said)
    await step(
        "a receipt is heard",
        heard,
        lambda event: event.type == EventType.RECEIPT and said in event.content and event.room_id == room,
    )
    intent = bridge.act_as(two)
    await step("the ghost types", intent.set_typing, room, 30000)

    async def seen():
        def look(answer):
            info = answer.rooms.join.get(room)
            events = info.ephemeral if info else []
            return any(two in getattr(event, "users", []) for event in events)

        return await person.synced_until(look)

    await step("that is seen", seen)
    await step("the ghost reads", intent.mark_read, room, said)


async def rest(step, bridge, person, room):
    intent = bridge.act_as(bridge.ghost("two"))

    async def image():
        uri = await intent.upload_media(DOT, mime_type="image/png", filename="dot.png")
        await intent.send_image(room, uri, file_name="dot.png")
        return await intent.download_media(uri) == DOT

    await step("an image from the ghost", image)
    alias = f"#{fresh('echo_')}:{bridge.domain}"
    await step("a room that is made when somebody comes", person.join, alias)


async def devices(step, bridge, person, room):
    two = bridge.ghost("two")
    bot = bridge.appservice.intent

    async def log_in():
        login = {
            "type": "m.login.application_service",
            "identifier": {"type": "m.id.user", "user": two},
            "device_id": "BRIDGE",
        }
        return await bot.api.request(Method.POST, Path.v3.login, login)

    await step("a device of the ghost", log_in)
    message = nio.ToDeviceMessage("m.test", two, "BRIDGE", {"secret": "1"})
    await step("a message to the device", person.to_device, message)

    async def came():
        event = await until(lambda: next(iter(bridge.to_device), None))
        check((event.to_user_id, event.to_device_id) == (two, "BRIDGE"), f"it is {event}")
        check(event.sender == person.user_id, f"from {event.sender}")
        await until(lambda: bridge.keys.get(two, {}).get("BRIDGE"))

    await step("it comes in a transaction, with how many keys are left", came)


async def main():
    parser = argparse.ArgumentParser(prog="main.py")
    parser.add_argument("url")
    parser.add_argument("--registration", required=True)
    parser.add_argument("--domain", required=True)
    parser.add_argument("--devices", action="store_true")
    parser.add_argument("--registration-token")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    registration = yaml.safe_load(Folder(options.registration).read_text())
    steps = Steps("mautrix")
    step = steps.step
    bridge = Bridge(options.url, options.domain, registration)
    person = Person(options.url, fresh("user"))
    await step("listen", bridge.begin)
    await step("the homeserver reaches it", bridge.appservice.ping_self, "one")
    await step("register a person", person.sign_up, options.registration_token)
    room, said = await talk(step, bridge, person)
    await moment(step, bridge, person, room, said)
    await rest(step, bridge, person, room)
    if options.devices:
        await devices(step, bridge, person, room)
    await person.close()
    await bridge.appservice.stop()
    steps.finish()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
