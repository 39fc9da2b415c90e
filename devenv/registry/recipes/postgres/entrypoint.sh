#!/bin/bash
# The parts of the official postgres entrypoint's contract that people rely on:
# POSTGRES_USER, _PASSWORD, _DB and their *_FILE forms, PGDATA, initdb arguments and scripts, TCP only after initialisation.
set -euo pipefail

setting() { # name, default
  local file_name="$1_FILE"
  if [[ -n "${!file_name:-}" ]]; then cat "${!file_name}"; else printf '%s' "${!1:-$2}"; fi
}

if [[ "$1" != postgres ]]; then exec "$@"; fi

if [[ "$(id -u)" == 0 ]]; then
  mkdir -p "$PGDATA"
  chown -R postgres: "$PGDATA" /var/run/postgresql
  chmod 700 "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

if [[ ! -s "$PGDATA/PG_VERSION" ]]; then
  user=$(setting POSTGRES_USER postgres)
  password=$(setting POSTGRES_PASSWORD '')
  database=$(setting POSTGRES_DB "$user")
  if [[ -z "$password" ]]; then
    echo 'error: POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE must be set for a new database' >&2
    exit 1
  fi
  mkdir -p "$PGDATA"
  chmod 700 "$PGDATA"
  # shellcheck disable=SC2086 # several arguments in one variable, as the official image takes them
  initdb --username="$user" --pwfile=<(printf '%s\n' "$password") ${POSTGRES_INITDB_ARGS:-}
  printf '\nhost all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
  pg_ctl start --wait --options="-c listen_addresses=''"
  if [[ "$database" != postgres ]]; then createdb --username="$user" "$database"; fi
  for script in /docker-entrypoint-initdb.d/*; do
    case "$script" in
      *.sh) bash "$script" ;;
      *.sql) psql --username="$user" --dbname="$database" --set=ON_ERROR_STOP=1 --file="$script" ;;
    esac
  done
  pg_ctl stop --wait --mode=fast
fi
exec "$@"
