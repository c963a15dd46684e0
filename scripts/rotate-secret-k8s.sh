#!/usr/bin/env bash
# Replaces a secret of a deployment in Kubernetes without downtime: first the old and the new secret are both accepted, then the pods that use
# the secret are restarted with the new one, then the old one is revoked. If it was interrupted, run it again.
#   scripts/rotate-secret-k8s.sh NAMESPACE NAME              NAME: REDIS_PASSWORD, POSTGRES_PASSWORD, TURN_SECRET or TANDEM_SECRET, as in the
#                                                            Secret tandem
#   scripts/rotate-secret-k8s.sh NAMESPACE NAME --forget     revokes the previous TURN_SECRET or TANDEM_SECRET, for example a day later.
#                                                            Until then the TURN credentials issued under it, or the PINs of rooms created
#                                                            under it, are still accepted
# For docker compose: scripts/rotate-secret.sh. KUBECTL: the kubectl to use; its account reads and writes the Secret, and runs commands in pods.
set -euo pipefail
usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0" >&2; exit 64; }
namespace=${1:-} name=${2:-} mode=${3:-}
case "$name $mode $#" in
"REDIS_PASSWORD  2" | "POSTGRES_PASSWORD  2" | "TURN_SECRET  2" | "TANDEM_SECRET  2" | "TURN_SECRET --forget 3" | "TANDEM_SECRET --forget 3") ;;
*) usage ;;
esac
case $namespace in "" | -*) usage ;; esac
k() { ${KUBECTL:-kubectl} --namespace "$namespace" "$@"; }
say() { echo "$*" >&2; }
fresh() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

get() { k get secret tandem -o "jsonpath={.data.$1}" | base64 -d; }

# put NAME VALUE...   writes all of them into the Secret at once; an empty value removes the name. Through a pipe, because other users can
# see the arguments of a process.
put() {
    local fields=
    while [ $# != 0 ]; do
        fields+="${fields:+,}\"$1\":$(if [ -n "$2" ]; then printf '"%s"' "$(printf %s "$2" | base64 -w 0)"; else printf null; fi)"
        shift 2
    done
    k patch secret tandem --type=merge --patch-file=<(printf '{"data":{%s}}' "$fields") >/dev/null
}

# quoted TEXT   prints it as a string of Redis files and commands
quoted() { printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g')"; }

# redis POD PASSWORD COMMAND...   fails unless the answer to each command is OK
redis() {
    local pod=$1 password=$2 answer
    shift 2
    answer=$({ printf 'AUTH %s\n' "$(quoted "$password")"; printf '%s\n' "$@"; } | k exec -i "$pod" -c redis -- redis-cli 2>&1)
    if grep -qv '^OK$' <<<"$answer"; then say "Redis in $pod: $answer"; return 1; fi
}

redis_pods() { k get pods -l app.kubernetes.io/name=tandem,app.kubernetes.io/component=redis -o name; }

# roll COMPONENT...   restarts the pods that use the secret: workers first, then nodes, each with a drain
roll() {
    local component deployment
    for component; do
        for deployment in $(k get deployment -l "app.kubernetes.io/name=tandem,app.kubernetes.io/component=$component" -o name); do
            say "$deployment is restarted"
            k rollout restart "$deployment" >/dev/null
            k rollout status "$deployment" --timeout=30m >/dev/null
        done
    done
}

restart_coturn() {
    [ -n "$(k get deployment coturn --ignore-not-found -o name)" ] || return 0
    say "coturn is restarted: relayed calls are interrupted once"
    k rollout restart deployment/coturn >/dev/null
    k rollout status deployment/coturn --timeout=10m >/dev/null
}

[ -n "$(k get secret tandem --ignore-not-found -o name)" ] || { say "there is no Secret tandem in $namespace"; exit 1; }
case $(k get secret tandem -o 'jsonpath={.metadata.ownerReferences[*].kind}') in
*ExternalSecret*) say "the Secret comes from a store, which would put the old one back: change it there"; exit 1 ;;
esac
old=$(get "${name}_PREVIOUS") current=$(get "$name") new=$(get "${name}_NEXT")

if [ "$mode" = --forget ]; then
    [ -n "$old" ] || { say "there is no $name from before"; exit 0; }
    put "${name}_PREVIOUS" ""
    case $name in
    TANDEM_SECRET) roll node ;;
    *) restart_coturn ;;
    esac
    exit 0
fi
[ -n "$current" ] || { say "the Secret has no $name"; exit 1; }
if [ -n "$old" ] && [ -z "$(get "${name}_ROLLING")" ]; then
    case $name in
    TURN_SECRET | TANDEM_SECRET)
        say "the $name from before is still good: --forget it first"
        exit 1
        ;;
    esac
fi

# Nodes with only one of the two would refuse each other's people: the new one is announced, used and, by --forget, all that is left.
if [ "$name" = TANDEM_SECRET ]; then
    if [ -z "$old" ]; then
        new=${new:-$(fresh)}
        put TANDEM_SECRET_NEXT "$new" TANDEM_SECRET_PREVIOUS "$new" TANDEM_SECRET_ROLLING yes
    else
        say "going on with $name"
    fi
    if [ -n "$new" ]; then
        say "the nodes learn the new one"
        roll node
        put TANDEM_SECRET "$new" TANDEM_SECRET_PREVIOUS "$current" TANDEM_SECRET_NEXT ""
    fi
    say "the nodes use the new one"
    roll node
    put TANDEM_SECRET_ROLLING ""
    say "the TANDEM_SECRET is new. A day later, when the rooms from before have ended: $0 $namespace TANDEM_SECRET --forget"
    exit 0
fi

if [ -z "$old" ]; then
    if [ -z "$new" ]; then
        new=$(fresh)
        put "${name}_NEXT" "$new"
    fi
    case $name in
    REDIS_PASSWORD)
        pods=$(redis_pods)
        [ -n "$pods" ] || { say "Redis is somebody else's: change its password there"; exit 1; }
        for pod in $pods; do redis "$pod" "$current" "ACL SETUSER default $(quoted ">$new")"; done
        # Only when all of them take it.
        for pod in $pods; do
            redis "$pod" "$current" "CONFIG SET masterauth $(quoted "$new")"
            if k get "$pod" -o 'jsonpath={.spec.containers[*].name}' | grep -qw sentinel; then
                answer=$(printf 'SENTINEL SET tandem auth-pass %s\n' "$(quoted "$new")" | k exec -i "$pod" -c redis -- env -u REDISCLI_AUTH redis-cli -p 26379 2>&1)
                [ "$answer" = OK ] || { say "Sentinel in $pod: $answer"; exit 1; }
            fi
        done
        ;;
    POSTGRES_PASSWORD)
        [ -n "$(k get statefulset postgres --ignore-not-found -o name)" ] || { say "PostgreSQL is somebody else's: change its password there"; exit 1; }
        # A role has only one password. Open connections stay; a service that needs a new connection before its restart waits, and logs that.
        printf "ALTER ROLE tandem PASSWORD '%s';\n" "$new" | k exec -i postgres-0 -- psql --quiet --set ON_ERROR_STOP=1 --username tandem --dbname tandem
        ;;
    TURN_SECRET) put TURN_SECRET_ROLLING yes ;;
    esac
    put "$name" "$new" "${name}_PREVIOUS" "$current" "${name}_NEXT" ""
    old=$current current=$new
else
    say "going on with $name"
fi

if [ "$name" = TURN_SECRET ]; then restart_coturn; fi
roll pgbouncer worker node
case $name in
REDIS_PASSWORD) for pod in $(redis_pods); do redis "$pod" "$current" "ACL SETUSER default resetpass $(quoted ">$current")"; done ;;
TURN_SECRET)
    put TURN_SECRET_ROLLING ""
    say "the TURN_SECRET is new. A day later, when no credentials from before are in use: $0 $namespace TURN_SECRET --forget"
    exit 0
    ;;
esac
put "${name}_PREVIOUS" ""
say "$name is new, and the one before is good no more"
