#!/bin/sh
# Makes a cluster of the six pods, once; does nothing when there is one.
set -eu
if redis-cli cluster info | grep -q '^cluster_state:ok'; then
    echo "there is a cluster"
    exit 0
fi
members=
for i in 0 1 2 3 4 5; do
    address=$(getent hosts "redis-$i.redis-headless" | cut -d' ' -f1)
    [ -n "$address" ] || { echo "redis-$i has no address yet; try again" >&2; exit 1; }
    members="$members $address:6379"
done
# shellcheck disable=SC2086 # a list
redis-cli --cluster create $members --cluster-replicas 1 --cluster-yes
