"""A person at matrix-nio. Every call is nio's own; this only turns nio's error answers into exceptions."""

import nio

PASSWORD = "correct-horse-battery-staple-42"
# A sync that has nothing to tell ends after so long.
SYNC_MS = 1000


class Person:
    def __init__(self, url, name):
        self.name = name
        self.client = nio.AsyncClient(url, name)

    def __getattr__(self, call):
        """`await person.join(room)` is nio's `join`, and an error answer is an exception."""
        method = getattr(self.client, call)

        async def called(*args, **named):
            answer = await method(*args, **named)
            if isinstance(answer, nio.ErrorResponse):
                raise AssertionError(str(answer))
            return answer

        return called

    @property
    def user_id(self):
        return self.client.user_id

    @property
    def rooms(self):
        return self.client.rooms

    async def sign_up(self, token):
        if token:
            answer = await self.client.register_with_token(self.name, PASSWORD, token)
            if isinstance(answer, nio.ErrorResponse):
                # nio expects one more stage after the token, as Synapse has it. Where the token is enough, it takes the
                # good answer for a bad one, and the account is there.
                answer = await self.login(PASSWORD)
            return answer
        return await self.register(self.name, PASSWORD)

    async def synced_until(self, look):
        """Syncs until `look(answer)` gives something true, and gives that. The step's own limit ends the wait."""
        while True:
            answer = await self.sync(timeout=SYNC_MS)
            got = look(answer)
            if got:
                return got

    async def sees(self, room, look):
        """Syncs until an event in the room's timeline passes `look`; gives the event."""

        def in_timeline(answer):
            info = answer.rooms.join.get(room)
            return info and next((event for event in info.timeline.events if look(event)), None)

        return await self.synced_until(in_timeline)

    async def say(self, room, body, **more):
        content = {"msgtype": "m.text", "body": body, **more}
        return (await self.room_send(room, "m.room.message", content)).event_id

    async def close(self):
        await self.client.close()
