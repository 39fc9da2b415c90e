#!/bin/sh
# Writes a dump of the database with its checksum, shows that it and the older ones can be read, and keeps the newest.
# usage: backup.sh DIRECTORY HOW-MANY; libpq's variables say where the database is, a file says the password.
set -eu

directory=$1
kept=$2
password=${PASSWORD_FILE:-/run/secrets/todo/database_password}

if [ ! -s "$password" ]; then
  echo "backup.sh: $password is missing or empty; put the password there and start again" >&2
  exit 1
fi
PGPASSWORD=$(cat "$password")
export PGPASSWORD

cd "$directory"
name=todo-$(date -u +%Y%m%dT%H%M%SZ).dump
# Under another name until it is whole: a run that is cut off leaves no half that looks like a dump.
trap 'rm -f "$name.part"' EXIT
pg_dump --format=custom --file="$name.part"
pg_restore --list "$name.part" >/dev/null
mv "$name.part" "$name"
sha256sum "$name" >"$name.sha256"
# A disk that loses what was written is noticed the next night, and not when the dump is needed.
sha256sum --check --quiet ./*.dump.sha256

# The names are in the order of time.
for old in $(printf '%s\n' todo-*.dump | sort -r | tail -n "+$((kept + 1))"); do
  rm "$old" "$old.sha256"
done
echo "backup.sh: $name, $(wc -c <"$name") bytes, is one of $(printf '%s\n' todo-*.dump | wc -l)"
