#!/bin/sh
# Starts the Redis of docker-compose.yml. Its passwords are in its volume, as hashes: scripts/rotate-secret.sh changes them there while Redis
# runs, and a restart keeps them. REDIS_PASSWORD is the first one, for a volume that has none yet.
set -eu
umask 077
users=/data/users.acl
if [ ! -s "$users" ]; then
    hash=$(printf %s "$REDIS_PASSWORD" | sha256sum | cut -d ' ' -f 1)
    printf 'user default on #%s ~* &* +@all\nuser health on nopass -@all +ping\n' "$hash" >"$users.new"
    mv "$users.new" "$users"
fi
unset REDIS_PASSWORD
# redis.conf reads it.
mkdir -p /run/redis
echo "aclfile $users" >/run/redis/auth.conf
chmod -R a+rX /run/redis
exec docker-entrypoint.sh redis-server /etc/redis/redis.conf
