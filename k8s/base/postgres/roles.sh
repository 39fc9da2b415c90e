#!/bin/sh
# Makes the database, its two roles and their passwords what the files in the given directory say; safe to repeat.
# usage: roles.sh [directory of postgres_password, migrate_password and app_password]
set -eu

directory=${1:-/run/secrets/todo}
# Covers the first initialisation and the recovery after a crash.
limit_seconds=300

for name in postgres_password migrate_password app_password; do
  if [ ! -s "$directory/$name" ]; then
    echo "roles.sh: $directory/$name is missing or empty; put the password there and start again" >&2
    exit 1
  fi
done

# TCP, because the server of the first initialisation listens on the socket only.
waited=0
until pg_isready --quiet --host=127.0.0.1; do
  if [ "$waited" -ge "$limit_seconds" ]; then
    echo "roles.sh: PostgreSQL did not accept connections on 127.0.0.1 within $limit_seconds s; its log says why" >&2
    exit 1
  fi
  sleep 1
  waited=$((waited + 1))
done

# psql reads the files itself: a password never stands on a command line.
# Over the socket, where the operating system vouches for the user, so a lost password is no obstacle to a new one.
export PASSWORDS="$directory"
psql --username=postgres --dbname=postgres --no-psqlrc --quiet --set=ON_ERROR_STOP=1 <<'SQL'
\set postgres_password `cat "$PASSWORDS/postgres_password"`
\set migrate_password `cat "$PASSWORDS/migrate_password"`
\set app_password `cat "$PASSWORDS/app_password"`

SELECT 'CREATE ROLE ' || name FROM unnest(ARRAY['todo_migrate', 'todo_app']) AS name
WHERE name NOT IN (SELECT rolname FROM pg_roles) \gexec
ALTER ROLE todo_migrate LOGIN PASSWORD :'migrate_password';
ALTER ROLE todo_app LOGIN PASSWORD :'app_password';

SELECT 'CREATE DATABASE todo' WHERE 'todo' NOT IN (SELECT datname FROM pg_database) \gexec
ALTER DATABASE todo OWNER TO todo_migrate;
REVOKE ALL ON DATABASE todo FROM PUBLIC;
GRANT CONNECT ON DATABASE todo TO todo_app;

\connect todo
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO todo_app;
ALTER DEFAULT PRIVILEGES FOR ROLE todo_migrate IN SCHEMA public
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO todo_app;
ALTER DEFAULT PRIVILEGES FOR ROLE todo_migrate IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO todo_app;

-- Last, because \connect may have needed the old one.
ALTER ROLE postgres PASSWORD :'postgres_password';
SQL
echo "roles.sh: database todo and roles todo_migrate and todo_app are in place"
