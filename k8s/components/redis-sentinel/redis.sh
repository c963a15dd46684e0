#!/bin/sh
# Starts Redis as what the others say it is: the master, or a replica of the master.
set -eu
me="$(hostname).redis-headless"

# The master, as a Sentinel that answers knows it; then as this pod's own Sentinel knew it; at the very first start pod 0.
master() {
    for i in 0 1 2; do
        found=$(timeout 2 redis-cli -h "redis-$i.redis-headless" -p 26379 --raw sentinel get-master-addr-by-name tandem 2>/dev/null | head -n 1) || true
        case $found in redis-*) echo "$found"; return ;; esac
    done
    found=$(sed -n 's/^sentinel monitor tandem \([^ ]*\) .*/\1/p' /data/sentinel.conf 2>/dev/null) || true
    echo "${found:-redis-0.redis-headless}"
}

master=$(master)
set -- --replica-announce-ip "$me" --min-replicas-to-write 1 --min-replicas-max-lag 10
[ "$master" = "$me" ] || set -- "$@" --replicaof "$master" 6379
exec sh /etc/redis/start.sh "$@"
