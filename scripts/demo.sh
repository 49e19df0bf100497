#!/usr/bin/env bash
# From a bare machine with Rust to a conversation with scripted agents: a Synapse, the bridge, and a person to log in as.
# Everything listens on 127.0.0.1 and lives in .local/demo (DEMO_DIR moves it); remove that folder to begin anew.
# Ctrl-C stops both, cleanly.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
dir=${DEMO_DIR:-$root/.local/demo}
domain=localhost
person=you

say() { printf '%s\n' "$*"; }

mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

PEERS=$("$root/scripts/peers.sh")
export PEERS
python=$PEERS/venv/bin/python
# What is on this machine must not be looked for through a proxy.
unset http_proxy https_proxy all_proxy HTTPS_PROXY HTTP_PROXY ALL_PROXY

# The usual port, or any free one if somebody has it.
port() {
  "$python" - "$1" <<'P'
import socket, sys
for wanted in (int(sys.argv[1]), 0):
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", wanted))
        except OSError:
            continue
        print(one.getsockname()[1])
        break
P
}

# wait_for URL PID LOG: until it answers 200, or until the process has ended.
wait_for() {
  local url=$1 pid=$2 log=$3
  until "$python" -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=2)' "$url" 2>/dev/null; do
    if ! kill -0 "$pid" 2>/dev/null; then
      say "It ended while starting. The end of $log:"
      tail -n 20 "$log"
      exit 1
    fi
    sleep 0.2
  done
}

say "Building the bridge (the first time takes a few minutes) ..."
cargo build --quiet --locked --ignore-rust-version --bin matrix-appservice-letta
bridge=${CARGO_TARGET_DIR:-$root/target}/debug/matrix-appservice-letta

homeserver_port=$(port 8008)
homeserver=http://127.0.0.1:$homeserver_port
bridge_port=$(port 29400)
export BRIDGE_APPSERVICE__PORT=$bridge_port
export BRIDGE_APPSERVICE__HOSTNAME=127.0.0.1
export BRIDGE_APPSERVICE__ADDRESS=http://127.0.0.1:$bridge_port

"$bridge" init --dir "$dir/bridge" --homeserver synapse --address "$homeserver" --domain "$domain" \
  --backend demo --admin "@$person:$domain" >"$dir/init.txt"
"$root/scripts/synapse.sh" new "$dir/synapse" "$domain" "$homeserver_port" "$dir/bridge/registration.yaml"

pids=()
# shellcheck disable=SC2317 # the traps call it
stop() {
  trap - INT TERM EXIT
  # The bridge first: it finishes what it says while the homeserver still listens.
  local at
  for ((at = ${#pids[@]} - 1; at >= 0; at--)); do
    kill -TERM "${pids[at]}" 2>/dev/null || true
    wait "${pids[at]}" 2>/dev/null || true
  done
}
trap 'stop' EXIT
trap 'say ""; say "Stopping ..."; stop; exit 0' INT TERM

say "Starting Synapse on $homeserver ..."
"$root/scripts/synapse.sh" run "$dir/synapse" >>"$dir/synapse/output.log" 2>&1 </dev/null &
pids+=($!)
wait_for "$homeserver/health" "${pids[0]}" "$dir/synapse/output.log"

if [ ! -f "$dir/password" ]; then
  (umask 077 && "$python" -c 'import secrets; print(secrets.token_urlsafe(12))' >"$dir/password.new")
  "$root/scripts/synapse.sh" user "$dir/synapse" "$person" "$(cat "$dir/password.new")" >>"$dir/synapse/output.log" 2>&1
  mv "$dir/password.new" "$dir/password"
fi

say "Starting the bridge ..."
"$bridge" run -c "$dir/bridge/config.yaml" >>"$dir/bridge/bridge.log" 2>&1 </dev/null &
pids+=($!)
wait_for "http://127.0.0.1:$bridge_port/_matrix/mau/ready" "${pids[1]}" "$dir/bridge/bridge.log"

cat <<T

Ready. Point any Matrix client (Element, Cinny, nheko, ...) at

    homeserver   $homeserver
    user         $person
    password     $(cat "$dir/password")

accept the invitation to the space "Letta Agents", join a room in it, and say hello. The agents are scripted;
try "slow: 12", "md:" or "say: anything". Logs: $dir/bridge/bridge.log, $dir/synapse/homeserver.log

Ctrl-C stops both.
T

# Whichever ends first ends the demo.
wait -n "${pids[@]}" || true
say "One of the two has ended by itself. The end of its log:"
for at in 0 1; do
  log=$dir/synapse/output.log
  [ "$at" = 1 ] && log=$dir/bridge/bridge.log
  kill -0 "${pids[at]}" 2>/dev/null || tail -n 20 "$log"
done
exit 1
