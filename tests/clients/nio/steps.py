"""What every driver does alike: run named steps, print one line for each, end with one line of JSON and an exit code."""

import asyncio
import json
import os
import secrets
import sys

# Long enough for a machine that compiles besides.
STEP_SECONDS = float(os.environ.get("STEP_MS", "30000")) / 1000
# How much of a failure's reason is printed.
WHY_CHARS = 300


class Steps:
    def __init__(self, driver):
        self.driver = driver
        self.passed = 0
        self.failed = []

    async def step(self, what, run, /, *args, **named):
        """Runs a step; `False`, an error answer and an exception fail it. Gives what it returned, or None."""
        try:
            got = await asyncio.wait_for(run(*args, **named), STEP_SECONDS)
            check(got is not False, "not as it should be")
            self.passed += 1
            print(f"ok {what}", flush=True)
            return got
        except Exception as error:  # whatever it is, it is why the step failed
            self.failed.append(what)
            why = " ".join(f"{type(error).__name__} {error}".split())
            print(f"not ok {what}: {why[:WHY_CHARS]}", flush=True)
            return None

    def finish(self):
        print(json.dumps({"driver": self.driver, "passed": self.passed, "failed": self.failed}), flush=True)
        sys.exit(1 if self.failed or not self.passed else 0)


def check(holds, what):
    if not holds:
        raise AssertionError(what)


def fresh(prefix):
    """A name nobody has yet."""
    return prefix + secrets.token_hex(4)
