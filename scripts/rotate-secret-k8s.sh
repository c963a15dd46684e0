#!/usr/bin/env bash
# Gives a deployment in Kubernetes another secret, while everybody goes on: first both are good, then everything that uses it is started
# anew with the new one, a part at a time, then the old one is good no more. Interrupted, it goes on where it was when it is started again.
#   scripts/rotate-secret-k8s.sh NAMESPACE NAME              REDIS_PASSWORD, POSTGRES_PASSWORD or TURN_SECRET; it is in the Secret `tandem`
#   scripts/rotate-secret-k8s.sh NAMESPACE NAME --forget     the TURN_SECRET that was before is good no more: a day later, say
# Where a store keeps the Secret (external-secret), or Redis and PostgreSQL are managed, change it there. KUBECTL: the kubectl to use.
set -euo pipefail
usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0" >&2; exit 64; }
namespace=${1:-} name=${2:-} mode=${3:-}
case "$name $mode $#" in
"REDIS_PASSWORD  2" | "POSTGRES_PASSWORD  2" | "TURN_SECRET  2" | "TURN_SECRET --forget 3") ;;
*) usage ;;
esac
kubectl=${KUBECTL:-kubectl}
fresh() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
say() { echo "$*" >&2; }
kube() { $kubectl --namespace "$namespace" "$@"; }
get() { kube get secret tandem -o "jsonpath={.data.$1}" | base64 -d; }

# put NAME VALUE [NAME VALUE...]   into the Secret, all or none; where a value is empty the key goes. By a file that is none: arguments
# of a process can be seen by others.
put() {
    local data='' value
    while [ $# != 0 ]; do
        value=null
        if [ -n "$2" ]; then value="\"$(printf %s "$2" | base64 -w 0)\""; fi
        data+="${data:+,}\"$1\":$value"
        shift 2
    done
    kube patch secret tandem --type merge --patch-file <(printf '{"data":{%s}}' "$data") >&2
}

# each PASSWORD COMMAND...   on every Redis
each() {
    local pod answer password=$1
    shift
    for pod in $(kube get pods --selector app.kubernetes.io/component=redis --field-selector status.phase=Running -o name); do
        answer=$({ printf 'AUTH %s\n' "$password"; printf '%s\n' "$@"; } | kube exec -i "$pod" -c redis -- env -u REDISCLI_AUTH redis-cli)
        if grep -qv '^OK' <<<"$answer"; then say "Redis of $pod: $answer"; exit 1; fi
    done
}

# sentinels PASSWORD   log in to Redis with this one from now on, where there are any
sentinels() {
    local pod answer
    for pod in $(kube get pods --selector app.kubernetes.io/component=redis --field-selector status.phase=Running -o name); do
        if [[ " $(kube get "$pod" -o 'jsonpath={.spec.containers[*].name}') " != *" sentinel "* ]]; then continue; fi
        answer=$(printf 'SENTINEL SET tandem auth-pass %s\n' "$1" | kube exec -i "$pod" -c sentinel -- env -u REDISCLI_AUTH redis-cli -p 26379)
        if grep -qv '^OK' <<<"$answer"; then say "Sentinel of $pod: $answer"; exit 1; fi
    done
}

restart() { # KIND COMPONENT...
    local kind=$1 component object
    shift
    for component; do
        for object in $(kube get "$kind" --selector "app.kubernetes.io/component=$component" -o name); do
            kube rollout restart "$object" >&2
            kube rollout status "$object" --timeout=15m >&2
        done
    done
}

if [ "$mode" = --forget ]; then
    put "${name}_PREVIOUS" ""
    restart deployment coturn
    say "$name from before is good no more"
    exit
fi

new=$(get "${name}_NEXT")
[ -n "$new" ] || { new=$(fresh); put "${name}_NEXT" "$new"; }
old=$(get "$name")
[ -n "$old" ] || { say "the Secret tandem of $namespace has no $name"; exit 64; }
if [ "$old" != "$new" ]; then
    case $name in
    # Replicas log in to their master with it, too.
    REDIS_PASSWORD)
        each "$old" "ACL SETUSER default >$new" "CONFIG SET masterauth $new"
        sentinels "$new"
        ;;
    # A role has one password. Connections that are open stay; whoever needs a new one before it is started anew waits.
    POSTGRES_PASSWORD) printf "ALTER ROLE tandem PASSWORD '%s';\n" "$new" | kube exec -i statefulset/postgres -- psql --quiet --set ON_ERROR_STOP=1 --username tandem --dbname tandem ;;
    esac
    put "$name" "$new" "${name}_PREVIOUS" "$old"
fi
if [ "$name" = TURN_SECRET ]; then
    say "coturn is started anew: calls that are relayed are interrupted once"
    restart deployment coturn
fi
restart deployment node worker
if [ "$name" = REDIS_PASSWORD ]; then
    # Its probes know the password that it was started with. Until the last one is there, both are good.
    restart statefulset redis
    each "$new" "ACL SETUSER default <$(get REDIS_PASSWORD_PREVIOUS)"
fi
if [ "$name" = TURN_SECRET ]; then put "${name}_NEXT" ""; else put "${name}_NEXT" "" "${name}_PREVIOUS" ""; fi
say "$name is another one"
