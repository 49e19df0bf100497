#!/usr/bin/env bash
# Installs the real peers (Synapse, matrix-nio, the Letta App Server) once per machine and prints the folder they are in.
#
#   scripts/peers.sh            -> /home/you/.cache/matrix-appservice-letta/peers-1a2b3c4d5e6f
#
# The folder holds `venv/`, and `template-NAME/` for every server name that scripts/synapse.sh was asked for.
# It is named after a hash of the pins, so other pins never meet an old folder. LETTA_BRIDGE_PEERS moves it elsewhere.
# It is filled aside and renamed into place: two runs at once are harmless, an interrupted one leaves nothing half done.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pins=$root/tests/peers/requirements.txt
home=${LETTA_BRIDGE_PEERS:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/matrix-appservice-letta}
python=${PYTHON:-python3}

say() { printf '%s\n' "$*" >&2; }

python_is_fit() {
  "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}

if ! python_is_fit; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "peers: installing python3 and python3-venv (the tests talk to a real Synapse)"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -q && apt-get install -qy --no-install-recommends python3 python3-venv ca-certificates; } >&2 </dev/null
  fi
  if ! python_is_fit; then
    say "peers: Python 3.10 or newer with venv and pip is missing. Install it, then run this again:"
    say "         Debian, Ubuntu:  sudo apt-get install python3 python3-venv"
    say "         Fedora:          sudo dnf install python3"
    say "         macOS:           brew install python@3.12"
    say "       Another interpreter can be named: PYTHON=/path/to/python3 $0"
    exit 69
  fi
fi

# The interpreter is part of the name: a folder made with Python 3.11 is of no use to Python 3.13.
hash=$("$python" - "$pins" <<'P'
import hashlib, sys
with open(sys.argv[1], "rb") as pins:
    made_of = pins.read() + repr((sys.version_info[:2], sys.base_prefix)).encode()
print(hashlib.sha256(made_of).hexdigest()[:12])
P
)
peers=$home/peers-$hash

if [ ! -x "$peers/venv/bin/python" ]; then
  mkdir -p "$home"
  aside=$(mktemp -d "$home/.peers-$hash.XXXXXX")
  trap 'rm -rf "$aside"' EXIT
  chmod 755 "$aside"
  say "peers: installing Synapse, matrix-nio and the Letta App Server into $peers (once, about a minute)"
  "$python" -m venv "$aside/venv" >&2
  if ! "$aside/venv/bin/python" -m pip install -q --prefer-binary -r "$pins" >&2 </dev/null; then
    say "peers: one of the pins is not to be had here; taking what the chosen ones ask for themselves"
    grep -E '^(matrix-synapse|matrix-nio|mautrix|letta)==' "$pins" >"$aside/chosen.txt"
    "$aside/venv/bin/python" -m pip install -q --prefer-binary -r "$aside/chosen.txt" >&2 </dev/null
  fi
  # Whoever renames first wins; the folder of the other is thrown away by the trap.
  mv -T "$aside" "$peers" 2>/dev/null || [ -x "$peers/venv/bin/python" ] || mv "$aside" "$peers"
fi

printf '%s\n' "$peers"
