#!/usr/bin/env bash
# Checks dependencies with cargo-deny and cargo-machete, and installs both if they are missing: three minutes on two cores, once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

DENY=0.20.2
MACHETE=0.9.2
# Two cores need three minutes; something that takes longer than this hangs.
INSTALL_SECONDS_MAX=1200

tools=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/matrix-appservice-letta/tools
export PATH=$tools/bin:$PATH

install() {
  local crate=$1 version=$2
  if [ "$("$crate" --version 2>/dev/null | grep -o '[0-9][0-9.]*$')" != "$version" ]; then
    timeout "$INSTALL_SECONDS_MAX" cargo install --quiet --locked --root "$tools" "$crate@$version"
  fi
}
install cargo-deny "$DENY"
install cargo-machete "$MACHETE"

cargo-machete
# Advisories need a database from the network, see deny.toml.
cargo-deny --locked check bans licenses sources
