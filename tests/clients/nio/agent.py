"""A chat with an agent: from the space, through its hierarchy, to an answer in the agent's room."""

import asyncio

from person import Person
from steps import fresh

# How often the hierarchy is asked for again.
LOOK_SECONDS = 0.2


async def agent(step, options):
    """`--agent-room` names the space of the agents or one agent's room; `--login` somebody who may enter."""
    name, _, password = (options.login or "").partition(":")
    person = Person(options.url, name or fresh("guest"))
    if name:
        await step("log in", person.login, password)
    else:
        await step("register", person.sign_up, options.registration_token)
    await step("first sync", person.sync, timeout=0)

    async def enter():
        return (await person.join(options.agent_room)).room_id

    async def find():
        # A bridge that has just started makes the rooms one after another.
        while True:
            rooms = (await person.space_get_hierarchy(entry)).rooms
            for one in rooms:
                if one.get("room_type") != "m.space":
                    return one["room_id"]
            await asyncio.sleep(LOOK_SECONDS)

    async def answered(question):
        def from_agent(event):
            return event.sender.startswith("@agent_") and event.source["type"] == "m.room.message"

        answer = await person.sees(room, from_agent)
        return answer.server_timestamp >= 0 and answer.event_id != question

    entry = await step("enter", enter)
    room = await step("find the agent's room in the hierarchy", find)
    await step("join the agent's room", person.join, room)
    await step("the joined room is in sync", person.synced_until, lambda _: room in person.rooms)
    question = await step("say hello", person.say, room, "hello")
    await step("the agent answers", answered, question)
    await person.close()
