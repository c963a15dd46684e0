#!/bin/sh
# Sentinel keeps what it learns in its file. It has no password of its own: the network policies say who may ask it.
set -eu
umask 077
file=/data/sentinel.conf
# Names must resolve before Sentinel starts, or it gives up.
until getent hosts redis-0.redis-headless >/dev/null; do sleep 1; done
if [ ! -s "$file" ]; then
    cat > "$file" <<EOF
port 26379
protected-mode no
dir /tmp
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel announce-ip $(hostname).redis-headless
sentinel monitor tandem redis-0.redis-headless 6379 2
sentinel down-after-milliseconds tandem 5000
sentinel failover-timeout tandem 15000
sentinel parallel-syncs tandem 1
EOF
fi
# The password of today, in quotes as files of Redis have it.
grep -v '^sentinel auth-pass ' "$file" >"$file.new"
printf 'sentinel auth-pass tandem "%s"\n' "$(printf '%s' "$REDIS_PASSWORD" | sed 's/[\\"]/\\&/g')" >>"$file.new"
mv "$file.new" "$file"
exec redis-sentinel "$file"
