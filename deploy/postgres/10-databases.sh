#!/usr/bin/env bash
# Run once by the Postgres image, on an empty data folder: one database and one
# role each for Hydra and tokenos, neither of which may enter the other's.
set -euo pipefail

psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\set hydra_password `cat /run/secrets/hydra_database_password`
\set tokenos_password `cat /run/secrets/tokenos_database_password`
CREATE ROLE hydra LOGIN PASSWORD :'hydra_password';
CREATE ROLE tokenos LOGIN PASSWORD :'tokenos_password';
CREATE DATABASE hydra OWNER hydra;
CREATE DATABASE tokenos OWNER tokenos;
REVOKE ALL ON DATABASE hydra, tokenos FROM PUBLIC;
SQL
