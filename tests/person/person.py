"""A person at a Matrix client: matrix-nio, driven by JSON lines on stdin, telling what it sees on stdout.

In:   {"id": 1, "do": "register", "name": "alice", ...}     one call; "do" names a method of `Person`
Out:  {"id": 1, "ok": ...} or {"id": 1, "error": "..."}     its answer
      {"room": {...}}                                       what is known of a room, without its messages
      {"room_id": ..., "at": 3, "entry": {...}}             message number 3 of a room, new or changed

The messages are shown as a client shows them: edits applied to the message they replace, redactions applied,
reactions counted on the message they are for.
"""

import asyncio
import io
import json
import logging
import pathlib
import sys
import time
from itertools import count

import nio

FILTER = {"room": {"timeline": {"limit": 500}}}
# nio retries a refused connection by itself; a test that stops its homeserver does not want to wait a minute for that.
RETRY = nio.AsyncClientConfig(max_timeout_retry_wait_time=0.5, backoff_factor=0.1, max_limit_exceeded=3)


def tell(**what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


class Room:
    """One room, as this person sees it."""

    def __init__(self, room_id):
        self.room_id = room_id
        self.membership = "unknown"
        self.invited_by = None
        self.state = {}
        self.typing = []
        self.typing_seen = []
        self.receipts = []
        self.entries = []
        self.places = {}
        # Edits by event id, as (target, sender, content): a redacted edit must be taken back.
        self.edits = {}
        self.reactions = {}
        self.seen = set()

    def tell(self):
        tell(
            room={
                "room_id": self.room_id,
                "membership": self.membership,
                "invited_by": self.invited_by,
                "state": self.state,
                "typing": self.typing,
                "typing_seen": self.typing_seen,
                "receipts": self.receipts,
            }
        )

    def tell_entry(self, event_id):
        place = self.places[event_id]
        tell(room_id=self.room_id, at=place, entry=self.entries[place])

    def take_state(self, event):
        kind, key, content = event.get("type"), event.get("state_key"), event.get("content") or {}
        if kind is None or key is None:
            return
        self.state.setdefault(kind, {})[key] = content

    def take_ephemeral(self, event):
        if isinstance(event, nio.TypingNoticeEvent):
            self.typing = event.users
            for user in event.users:
                if user not in self.typing_seen:
                    self.typing_seen.append(user)
        elif isinstance(event, nio.ReceiptEvent):
            for receipt in event.receipts:
                self.receipts.append(
                    {
                        "user_id": receipt.user_id,
                        "event_id": receipt.event_id,
                        "kind": receipt.receipt_type,
                        "thread": receipt.thread_id,
                    }
                )

    def take(self, event):
        """One event of the timeline, in the homeserver's own words."""
        event_id = event.get("event_id")
        if event_id in self.seen:
            return
        self.seen.add(event_id)
        if "state_key" in event:
            self.take_state(event)
            return
        kind, content = event.get("type"), event.get("content") or {}
        relation = content.get("m.relates_to") or {}
        target = relation.get("event_id")
        if kind == "m.room.redaction":
            self.redact(event.get("redacts") or content.get("redacts"))
        elif kind == "m.reaction" and target:
            self.reactions[event_id] = (target, event["sender"], relation.get("key"))
            self.show(target)
        elif relation.get("rel_type") == "m.replace" and "m.new_content" in content:
            self.edits[event_id] = (target, event["sender"], content["m.new_content"])
            self.show(target)
        elif kind == "m.room.message":
            self.places[event_id] = len(self.entries)
            self.entries.append({"event_id": event_id, "original": event})
            self.show(event_id)

    def redact(self, event_id):
        if event_id in self.places:
            self.entries[self.places[event_id]]["redacted"] = True
            self.show(event_id)
        elif event_id in self.edits:
            target, *_ = self.edits.pop(event_id)
            self.show(target)
        elif event_id in self.reactions:
            target, *_ = self.reactions.pop(event_id)
            self.show(target)

    def show(self, event_id):
        if event_id not in self.places:
            return
        place = self.places[event_id]
        old = self.entries[place]
        original, redacted = old["original"], old.get("redacted", "content" not in old["original"])
        content, sender = original.get("content") or {}, original["sender"]
        relation = content.get("m.relates_to") or {}
        edits = [new for target, by, new in self.edits.values() if target == event_id and by == sender]
        shown = {} if redacted else (edits[-1] if edits else content)
        reactions = {}
        for target, by, key in self.reactions.values():
            if target == event_id:
                reactions.setdefault(key, []).append(by)
        self.entries[place] = {
            "event_id": event_id,
            "sender": sender,
            "kind": original["type"],
            "sent_at": original.get("origin_server_ts", 0),
            "seen_at": old.get("seen_at") or int(time.time() * 1000),
            "changed_at": int(time.time() * 1000),
            "msgtype": shown.get("msgtype"),
            "body": shown.get("body"),
            "formatted_body": shown.get("formatted_body"),
            "first_body": content.get("body"),
            "edits": len(edits),
            "bodies": [content.get("body")] + [new.get("body") for new in edits],
            "reply_to": (relation.get("m.in_reply_to") or {}).get("event_id"),
            "reply_is_fallback": bool(relation.get("is_falling_back")),
            "thread": relation.get("event_id") if relation.get("rel_type") == "m.thread" else None,
            "mentions": ((shown.get("m.mentions") or {}).get("user_ids")) or [],
            "redacted": redacted,
            "reactions": reactions,
            "content": shown,
            "original": original,
        }
        self.tell_entry(event_id)


class Person:
    """The calls that the test can make. Every answer is a plain JSON value."""

    def __init__(self, homeserver):
        self.homeserver = homeserver
        self.client = None
        self.rooms = {}
        self.txn = count(1)
        self.syncing = None

    # --- who I am ---

    async def register(self, name, password):
        self.client = nio.AsyncClient(self.homeserver, name, config=RETRY)
        good(await self.client.register(name, password, device_name="person"))
        return self.start()

    async def login(self, name, password):
        self.client = nio.AsyncClient(self.homeserver, name, config=RETRY)
        good(await self.client.login(password, device_name="person"))
        return self.start()

    def start(self):
        self.syncing = asyncio.create_task(self.sync())
        return {"user_id": self.client.user_id, "access_token": self.client.access_token}

    # --- what I see ---

    async def sync(self):
        since = None
        while True:
            try:
                answer = await self.client.sync(
                    timeout=30_000, sync_filter=FILTER, since=since, full_state=since is None
                )
            except Exception as error:  # noqa: BLE001 a homeserver that is being stopped says goodbye in many ways
                logging.warning("sync failed: %r", error)
                await asyncio.sleep(0.2)
                continue
            if isinstance(answer, nio.SyncResponse):
                since = answer.next_batch
                for room_id, seen in answer.rooms.join.items():
                    await self.joined(room_id, seen)
                for room_id, seen in answer.rooms.invite.items():
                    self.invited(room_id, seen)
                for room_id, seen in answer.rooms.leave.items():
                    self.left(room_id, seen)
            else:
                logging.warning("sync failed: %r", answer)
                await asyncio.sleep(0.2)

    def room(self, room_id):
        return self.rooms.setdefault(room_id, Room(room_id))

    async def joined(self, room_id, seen):
        room = self.room(room_id)
        first, room.membership = room.membership != "join", "join"
        for event in seen.state:
            room.take_state(event.source)
        events = [event.source for event in seen.timeline.events]
        if seen.timeline.limited and not first:
            events = await self.missed(room, seen.timeline.prev_batch) + events
        for event in events:
            room.take(event)
        for event in seen.ephemeral:
            room.take_ephemeral(event)
        room.tell()

    async def missed(self, room, token):
        """What a limited timeline left out, oldest first."""
        missed = []
        while token:
            page = await self.client.room_messages(room.room_id, token, limit=100)
            if not isinstance(page, nio.RoomMessagesResponse) or not page.chunk:
                break
            for event in page.chunk:
                if event.event_id in room.seen:
                    return missed
                missed.insert(0, event.source)
            token = page.end
        return missed

    def invited(self, room_id, seen):
        room = self.room(room_id)
        room.membership = "invite"
        for event in seen.invite_state:
            # nio takes the content out of this one.
            content = {"content": event.content} if isinstance(event, nio.InviteMemberEvent) else {}
            room.take_state(event.source | content)
            if event.source.get("state_key") == self.client.user_id:
                room.invited_by = event.source.get("sender")
        room.tell()

    def left(self, room_id, seen):
        room = self.room(room_id)
        for event in seen.timeline.events:
            room.take(event.source)
        room.membership = "leave"
        room.tell()

    # --- what I do ---

    async def join(self, room):
        return good(await self.client.join(room)).room_id

    async def leave(self, room):
        good(await self.client.room_leave(room))

    async def send(self, room, content, kind="m.room.message"):
        sent = await self.client.room_send(room, kind, content, tx_id=f"person-{time.time_ns()}-{next(self.txn)}")
        return good(sent).event_id

    async def upload(self, path, mimetype):
        data = pathlib.Path(path).read_bytes()
        answer, _ = await self.client.upload(io.BytesIO(data), mimetype, filesize=len(data))
        return good(answer).content_uri

    async def put_state(self, room, kind, content, key=""):
        return good(await self.client.room_put_state(room, kind, content, state_key=key)).event_id

    async def set_name(self, name):
        good(await self.client.set_displayname(name))

    async def redact(self, room, event_id, reason=None):
        return good(await self.client.room_redact(room, event_id, reason)).event_id

    async def typing(self, room, on):
        good(await self.client.room_typing(room, on, timeout=20_000))

    async def read(self, room, event_id):
        good(await self.client.update_receipt_marker(room, event_id))

    async def create_room(self, invite=(), name=None, direct=False, alias=None, space=False):
        preset = nio.RoomPreset.trusted_private_chat if direct else nio.RoomPreset.private_chat
        made = await self.client.room_create(invite=list(invite), name=name, is_direct=direct, preset=preset, alias=alias, space=space)
        return good(made).room_id

    async def invite(self, room, user):
        good(await self.client.room_invite(room, user))

    async def kick(self, room, user):
        good(await self.client.room_kick(room, user))

    async def upgrade(self, room, version):
        answer = await self.client.send(
            "POST",
            nio.Api._build_path(["rooms", room, "upgrade"]),
            json.dumps({"new_version": version}),
            {"Content-Type": "application/json", "Authorization": f"Bearer {self.client.access_token}"},
        )
        answered = await answer.json()
        if "replacement_room" not in answered:
            raise RuntimeError(str(answered))
        return answered["replacement_room"]

    async def resolve(self, alias):
        found = await self.client.room_resolve_alias(alias)
        return found.room_id if isinstance(found, nio.RoomResolveAliasResponse) else None

    async def profile(self, user):
        found = good(await self.client.get_profile(user))
        return {"displayname": found.displayname, "avatar_url": found.avatar_url}


def good(answer):
    if isinstance(answer, nio.ErrorResponse):
        raise RuntimeError(f"{answer.status_code}: {answer.message}")
    return answer


async def answer(person, call):
    call_id, method = call.pop("id"), call.pop("do")
    try:
        tell(id=call_id, ok=await getattr(person, method)(**call))
    except Exception as error:  # noqa: BLE001 the test decides what an error means
        tell(id=call_id, error=f"{type(error).__name__}: {error}")


async def main():
    person = Person(sys.argv[1])
    reader = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks = set()
    tell(ready=True)
    while line := await reader.readline():
        task = asyncio.create_task(answer(person, json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    if person.syncing:
        person.syncing.cancel()
    if person.client:
        await person.client.close()


logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
asyncio.run(main())
