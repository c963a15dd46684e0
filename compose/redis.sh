#!/bin/sh
# Starts the Redis of docker-compose.yml. Its passwords are stored as hashes in its volume, where scripts/rotate-secret.sh changes them while
# Redis runs. REDIS_PASSWORD is used only for a new volume.
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
