#!/bin/sh
# Starts Redis. Its passwords go into a file in memory: arguments can be read by whoever lists the processes.
#   start.sh [OPTION...]   more options for redis-server
# REDIS_PASSWORD is the password; REDIS_PASSWORD_PREVIOUS, while passwords are changed, another one that is taken too.
set -eu
umask 077
# As a file of Redis writes a string.
quoted() { printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g')"; }
{
    printf 'user default on ~* &* +@all %s' "$(quoted ">$REDIS_PASSWORD")"
    if [ -n "${REDIS_PASSWORD_PREVIOUS:-}" ]; then printf ' %s' "$(quoted ">$REDIS_PASSWORD_PREVIOUS")"; fi
    # For the probes, which must go on working while the password is changed.
    printf '\nuser health on nopass -@all +ping'
    # With this a replica asks its master.
    printf '\nmasterauth %s\n' "$(quoted "$REDIS_PASSWORD")"
} >/run/redis/auth.conf
exec redis-server /etc/redis/redis.conf "$@"
