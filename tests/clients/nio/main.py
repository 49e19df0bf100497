"""matrix-nio as a driver: what most bots in Python stand on.

    main.py URL [--registration-token T] [--agent-room ALIAS [--login NAME:PASSWORD]]
"""

import argparse
import asyncio
import logging
import sys

from agent import agent
from person import PASSWORD, Person
from rooms import accounts, leaving, life, media, meeting, spaces
from steps import Steps, fresh


def command_line():
    parser = argparse.ArgumentParser(prog="main.py")
    parser.add_argument("url")
    parser.add_argument("--registration-token")
    parser.add_argument("--agent-room", help="the space of the agents, or the room of one")
    parser.add_argument("--login", help="NAME:PASSWORD of somebody who may enter there")
    return parser.parse_args()


async def main():
    options = command_line()
    logging.disable(logging.CRITICAL)
    steps = Steps("nio")
    step = steps.step
    if options.agent_room:
        await agent(step, options)
        steps.finish()
    alice, bob = (Person(options.url, fresh(name)) for name in ("alice", "bob"))
    await step("discover the homeserver", alice.discovery_info)
    await step("login flows", alice.login_info)
    for person in (alice, bob):
        await step(f"register {person.name[:-8]}", person.sign_up, options.registration_token)
    again = Person(options.url, alice.name)
    await step("log in", again.login, PASSWORD, device_name="nio driver")
    await step("first sync of alice", alice.sync, timeout=0, full_state=True)
    await step("first sync of bob", bob.sync, timeout=0)
    room = await meeting(step, alice, bob)
    await life(step, alice, bob, room)
    await media(step, alice, bob, room)
    await accounts(step, alice, bob, room)
    await spaces(step, alice, bob, room)
    await leaving(step, alice, bob, room)
    for person in (alice, bob, again):
        await step("log out", person.logout)
        await person.close()
    steps.finish()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
