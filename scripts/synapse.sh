#!/usr/bin/env bash
# A real Synapse with SQLite on 127.0.0.1, for the tests and for `make demo`.
#
#   scripts/synapse.sh new DIR NAME PORT [REGISTRATION]   writes DIR/homeserver.yaml, and a fresh database if there is none
#   scripts/synapse.sh run DIR                            runs it in the foreground until SIGTERM
#   scripts/synapse.sh user DIR NAME PASSWORD             registers a person on the running server
#
# REGISTRATION is the registration.yaml of the bridge. `new` may be called again: it keeps database and keys.
# OPEN_REGISTRATION=true lets anybody on this machine register, which the tests want and a demo does not;
# REGISTRATION_TOKEN=T lets those register who know T.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
peers=${PEERS:-$("$here/peers.sh")}
python=$peers/venv/bin/python

# A name for this machine only must never be looked for through somebody's proxy.
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY

random() { "$python" -c 'import secrets; print(secrets.token_hex(24))'; }

# config DIR NAME PORT REGISTRATION
config() {
  local dir=$1 name=$2 port=$3 registration=$4
  local plenty='{per_second: 100000, burst_count: 100000}'
  [ -f "$dir/secret" ] || (umask 077 && random >"$dir/secret")
  local secret
  secret=$(cat "$dir/secret")
  local open=${OPEN_REGISTRATION:-false} closed_by_token=false
  [ -z "${REGISTRATION_TOKEN:-}" ] || open=true closed_by_token=true
  cat >"$dir/log.yaml" <<L
version: 1
formatters: {line: {format: '%(asctime)s %(levelname)s %(name)s %(message)s'}}
handlers: {file: {class: logging.FileHandler, filename: '$dir/homeserver.log', formatter: line}}
root: {level: ${SYNAPSE_LOG:-WARNING}, handlers: [file]}
L
  cat >"$dir/homeserver.yaml" <<C
server_name: '$name'
public_baseurl: 'http://127.0.0.1:$port/'
pid_file: '$dir/homeserver.pid'
signing_key_path: '$dir/signing.key'
log_config: '$dir/log.yaml'
media_store_path: '$dir/media'
macaroon_secret_key: '$secret'
form_secret: '$secret'
registration_shared_secret: '$secret'
enable_registration: $open
enable_registration_without_verification: $open
registration_requires_token: $closed_by_token
listeners:
  - {port: $port, type: http, bind_addresses: ['127.0.0.1'], resources: [{names: [client], compress: false}]}
database: {name: sqlite3, args: {database: '$dir/homeserver.db'}}
app_service_config_files: [${registration:+"'$registration'"}]
# One machine, nobody else: no federation, no reports, no presence.
federation_domain_whitelist: []
trusted_key_servers: []
suppress_key_server_warning: true
report_stats: false
presence: {enabled: false}
# A test types faster than a person.
experimental_features: {msc2409_to_device_messages_enabled: true, msc3202_transaction_extensions: true}
rc_message: $plenty
rc_registration: $plenty
rc_room_creation: $plenty
rc_admin_redaction: $plenty
rc_login: {address: $plenty, account: $plenty, failed_attempts: $plenty}
rc_joins: {local: $plenty, remote: $plenty}
rc_joins_per_room: $plenty
rc_invites: {per_room: $plenty, per_user: $plenty, per_issuer: $plenty}
C
}

# A database that went through all migrations costs seconds; they are spent once per server name, from then on it is copied.
template() {
  local name=$1
  local template=$peers/template-${name//[^A-Za-z0-9.]/_}
  if [ ! -f "$template/homeserver.db" ]; then
    local aside
    aside=$(mktemp -d "$peers/.template.XXXXXX")
    OPEN_REGISTRATION=false REGISTRATION_TOKEN='' config "$aside" "$name" 0 ''
    if ! {
      "$python" -m synapse.app.homeserver --config-path "$aside/homeserver.yaml" --generate-keys &&
        "$python" -m synapse._scripts.update_synapse_database \
          --database-config "$aside/homeserver.yaml" --run-background-updates
    } >"$aside/template.log" 2>&1 </dev/null; then
      tail -n 30 "$aside/template.log" >&2
      rm -rf "$aside"
      echo "synapse: the fresh database could not be made, see above" >&2
      exit 70
    fi
    find "$aside" -mindepth 1 ! -name homeserver.db ! -name signing.key -delete
    mv -T "$aside" "$template" 2>/dev/null || rm -rf "$aside"
  fi
  printf '%s\n' "$template"
}

# A token is made by an admin, of whom there is none yet.
allow_token() {
  "$python" - "$1/homeserver.db" "$2" <<'P'
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as database:
    database.execute("INSERT OR IGNORE INTO registration_tokens (token, pending, completed) VALUES (?, 0, 0)", sys.argv[2:])
P
}

case ${1:-} in
new)
  dir=$2 name=$3 port=$4 registration=${5:-}
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  if [ ! -f "$dir/homeserver.db" ]; then
    cp "$(template "$name")"/* "$dir/"
  fi
  [ -z "${REGISTRATION_TOKEN:-}" ] || allow_token "$dir" "$REGISTRATION_TOKEN"
  config "$dir" "$name" "$port" "$registration"
  ;;
run)
  exec "$python" "$here/../tests/peers/synapse_main.py" --config-path "$2/homeserver.yaml"
  ;;
user)
  "$python" -m synapse._scripts.register_new_matrix_user \
    --config "$2/homeserver.yaml" --user "$3" --password "$4" --no-admin
  ;;
*)
  sed -n '2,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 64
  ;;
esac
