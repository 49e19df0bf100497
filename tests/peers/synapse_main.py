"""Synapse, ending with whoever started it.

With ENDS_WITH_STDIN set, the end of stdin ends the process: a test run that was itself killed leaves no server behind.
"""

import os
import runpy
import sys
import threading


def end_with_stdin() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


if os.environ.get("ENDS_WITH_STDIN"):
    threading.Thread(target=end_with_stdin, daemon=True).start()
sys.argv[0] = "synapse"
runpy.run_module("synapse.app.homeserver", run_name="__main__", alter_sys=False)
