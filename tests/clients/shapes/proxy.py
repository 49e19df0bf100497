"""A reverse proxy that holds every JSON answer of a homeserver against the OpenAPI document of the Matrix specification.

    proxy.py PORT URL [--known SERVER]

Any client can be pointed at it. `GET /__report` tells what it saw so far: how many answers of how many operations were
checked, each violation with an example, and how often each path was asked. Violations that `known.json` lists for SERVER
are told apart: they are the peer's own, known and left alone. SIGTERM ends it.
"""

import argparse
import asyncio
import collections
import json
import lzma
import re
import signal
from pathlib import Path

from aiohttp import ClientSession, ClientTimeout, web
from jsonschema import Draft202012Validator, validators
from yarl import URL

HERE = Path(__file__).parent
# The largest body a client may send through.
BODY_BYTES = 200 << 20
# How much of an offending value is shown.
EXAMPLE_CHARS = 200
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "content-encoding"}
# What can be said at every endpoint that wants a token.
NO_TOKEN = ("M_MISSING_TOKEN", "M_UNKNOWN_TOKEN")
# Answers in which a homeserver says where it is; the client is to come back through here.
SAYS_WHERE = ("/login", "/.well-known/matrix/client")


# The document says `oneOf` where it means that each will do: an event is an object, too.
Validator = validators.extend(Draft202012Validator, {"oneOf": Draft202012Validator.VALIDATORS["anyOf"]})


class Specification:
    """Finds the operation of a request, and the shape of its answer."""

    def __init__(self):
        with lzma.open(HERE / "client-server.json.xz") as packed:
            paths = json.load(packed)["paths"]
        self.operations = [
            (method, pattern_of(path), path, answers) for path, methods in paths.items() for method, answers in methods.items()
        ]
        # The most literal path wins: /state/{type} before /{anything}.
        self.operations.sort(key=lambda operation: (operation[2].count("{"), -len(operation[2])))
        self.validators = {}

    def find(self, method, path):
        for known, pattern, template, answers in self.operations:
            if known == method and pattern.fullmatch(path):
                return template, answers
        return None

    def validator(self, key, schema):
        if key not in self.validators:
            self.validators[key] = Validator(schema)
        return self.validators[key]


def pattern_of(path):
    # A state key may be empty, and then its slash may be missing, too.
    pattern = re.escape(path).replace(r"/\{stateKey\}", "(?:/[^/]*)?")
    return re.compile(re.sub(r"\\{.*?\\}", "[^/]+", pattern) + "/?")


class Tally:
    def __init__(self, known):
        self.specification = Specification()
        self.known = known
        self.checked = 0
        self.operations = set()
        self.violations = {}
        self.unspecified = collections.Counter()
        self.asked = collections.Counter()

    def violation(self, where, example):
        self.violations.setdefault(where, str(example)[:EXAMPLE_CHARS])

    def note(self, method, path, status, body):
        found = self.specification.find(method, path)
        if not found:
            self.unspecified[f"{method} {path}"] += 1
            return
        template, answers = found
        operation = f"{method} {template} {status}"
        self.asked[f"{method} {template}"] += 1
        self.operations.add(operation)
        self.checked += 1
        if str(status) not in answers:
            # Errors are listed loosely in the specification; each must at least be a standard error.
            if status < 400 or not isinstance(parsed(body, {}).get("errcode"), str):
                self.violation(f"{operation}: neither listed nor a standard error", body)
            return
        schema = answers[str(status)]
        if schema is None:
            return
        answer = parsed(body, None)
        if answer is None:
            self.violation(f"{operation}: no JSON", body)
            return
        # Where 401 stands for "prove more", a missing token is still said as everywhere.
        if status == 401 and isinstance(answer, dict) and answer.get("errcode") in NO_TOKEN:
            return
        for error in self.specification.validator(operation, schema).iter_errors(answer):
            place = "/".join(anonymous(part) for part in error.absolute_path)
            self.violation(f"{operation}: {place}: {error.validator} {missing(error)}".rstrip(), error.instance)

    def report(self):
        new = {where: example for where, example in self.violations.items() if where not in self.known}
        return {
            "checked": self.checked,
            "operations": len(self.operations),
            "violations": new,
            "known": sorted(where for where in self.violations if where in self.known),
            "unspecified": self.unspecified,
            "asked": self.asked,
        }


def parsed(body, otherwise):
    try:
        return json.loads(body)
    except ValueError:
        return otherwise


def anonymous(part):
    """A place without the ids in it, so that the same violation has the same name in every run."""
    return "*" if isinstance(part, int) or str(part)[:1] in "!@$#" else str(part)


def missing(error):
    """Which key is missing, for of all keywords that one does not name it by its place."""
    if error.validator != "required":
        return ""
    return next((key for key in error.validator_value if key not in error.instance), "")


class Proxy:
    def __init__(self, port, upstream, tally):
        self.here = f"http://127.0.0.1:{port}"
        self.upstream = upstream.rstrip("/")
        self.tally = tally
        self.session = None

    async def carry(self, request):
        if request.path == "/__report":
            return web.json_response(self.tally.report())
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        target = URL(self.upstream + request.raw_path, encoded=True)
        body = await request.read() or None
        async with self.session.request(request.method, target, data=body, headers=headers, allow_redirects=False) as answer:
            content = await answer.read()
            if request.method != "OPTIONS":
                # Still percent-encoded: an id with a slash in it is one part of the path.
                self.tally.note(request.method, request.rel_url.raw_path, answer.status, content)
            if request.path.endswith(SAYS_WHERE):
                content = content.replace(self.upstream.encode(), self.here.encode())
            headers = [(name, value) for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP]
            return web.Response(status=answer.status, body=content, headers=headers)

    async def serve(self, port):
        self.session = ClientSession(timeout=ClientTimeout(total=None), auto_decompress=True)
        application = web.Application(client_max_size=BODY_BYTES)
        application.router.add_route("*", "/{path:.*}", self.carry)
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        over = asyncio.Event()
        for one in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(one, over.set)
        await over.wait()
        await self.session.close()


def main():
    parser = argparse.ArgumentParser(prog="proxy.py")
    parser.add_argument("port", type=int)
    parser.add_argument("url")
    parser.add_argument("--known", metavar="SERVER", help="whose known violations are set apart")
    options = parser.parse_args()
    lists = json.loads((HERE / "known.json").read_text())
    tally = Tally(set(lists[options.known]) if options.known else set())
    asyncio.run(Proxy(options.port, options.url, tally).serve(options.port))


if __name__ == "__main__":
    main()
