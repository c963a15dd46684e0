#!/usr/bin/env bash
# Writes .env for docker-compose.yml with random secrets, unless it exists.
#   scripts/compose-secrets.sh [SITE]     SITE: the host name of this machine, such as watch.example.org (default: localhost)
set -euo pipefail
cd "$(dirname "$0")/.."
site=${1:-localhost}
case $site in -* | *[!A-Za-z0-9.-]*) echo "usage: scripts/compose-secrets.sh [SITE]     SITE: the name of this machine, such as watch.example.org" >&2; exit 64 ;; esac
if [ -e .env ]; then echo ".env is there already: nothing is changed" >&2; exit 0; fi
secret() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
umask 077
cat >.env <<EOF
# Written by scripts/compose-secrets.sh: the secrets of a deployment. Do not commit them, and keep them as long as its volumes exist.
SITE=$site
# The host name of coturn for browsers, and the public address of this machine.
TURN_HOST=$site
TURN_EXTERNAL_IP=127.0.0.1
TANDEM_SECRET=$(secret)
REDIS_PASSWORD=$(secret)
POSTGRES_PASSWORD=$(secret)
TURN_SECRET=$(secret)
GRAFANA_PASSWORD=$(secret)
EOF
echo ".env is written; \`docker compose up -d\` starts everything"
