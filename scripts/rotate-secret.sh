#!/usr/bin/env bash
# Replaces a secret of a docker compose deployment without downtime: first the old and the new secret are both accepted, then the services
# that use the secret are restarted with the new one, one after the other, then the old one is revoked. If it was interrupted, run it again.
#   scripts/rotate-secret.sh NAME              NAME: REDIS_PASSWORD, POSTGRES_PASSWORD, TURN_SECRET or TANDEM_SECRET, as in .env
#   scripts/rotate-secret.sh NAME --forget     revokes the previous TURN_SECRET or TANDEM_SECRET, for example a day later. Until then the TURN
#                                              credentials issued under it, or the PINs of rooms created under it, are still accepted
# For Kubernetes: scripts/rotate-secret-k8s.sh. COMPOSE: the command to use instead of `docker compose`.
set -euo pipefail
cd "$(dirname "$0")/.."
usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0" >&2; exit 64; }
name=${1:-} mode=${2:-}
case "$name $mode $#" in
"REDIS_PASSWORD  1" | "POSTGRES_PASSWORD  1" | "TURN_SECRET  1" | "TANDEM_SECRET  1") place=compose ;;
"TURN_SECRET --forget 2" | "TANDEM_SECRET --forget 2") place=forget ;;
*) usage ;;
esac
compose=${COMPOSE:-docker compose}
fresh() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
say() { echo "$*" >&2; }

get() { sed -nE "s/^$1=[\"']?([^\"']*)[\"']?\$/\1/p" .env | tail -n 1; }

# put NAME VALUE [NAME VALUE...]   writes all of them into .env at once; an empty value removes the line
put() {
    (
        umask 077
        cp .env .env.new
        while [ $# != 0 ]; do
            sed -i "/^$1=/d" .env.new
            if [ -n "$2" ]; then printf '%s=%s\n' "$1" "$2" >>.env.new; fi
            shift 2
        done
        mv .env.new .env
    )
}

# running SERVICE   prints the number of running containers
running() { $compose --profile '*' ps --quiet --status running "$1" | wc -l; }

# wait_for SERVICE COUNT   waits until that many containers are healthy
wait_for() {
    local end=$((SECONDS + 120))
    until [ "$($compose --profile '*' ps --format '{{.Health}}' "$1" | grep -cx healthy)" -ge "$2" ]; do
        if [ $SECONDS -ge $end ]; then say "$1 did not become healthy within 120 s: see \`docker compose logs $1\`, then start this again"; exit 1; fi
        sleep 1
    done
}

up() { $compose --profile '*' up --detach --no-deps --no-build --quiet-pull "$@" >&2; }

# Starts as many new nodes before the old ones stop (the edge knows eight), so that clients always find a node.
roll() {
    local service count more
    for service in node node-blue node-green; do
        count=$(running "$service")
        if [ "$count" = 0 ]; then continue; fi
        more=$((count > 4 ? 8 - count : count))
        if [ "$more" -gt 0 ]; then
            say "$service: $more more beside $count"
            up --no-recreate --scale "$service=$((count + more))" "$service"
            wait_for "$service" $((count + more))
        fi
        say "$service: the old ones drain, and come back with the new secret"
        up --scale "$service=$((count + more))" "$service"
        wait_for "$service" $((count + more))
        up --scale "$service=$count" "$service"
    done
    count=$(running worker)
    if [ "$count" != 0 ]; then
        say "worker"
        up --scale "worker=$count" worker
        wait_for worker "$count"
    fi
}

# redis PASSWORD COMMAND...   sends the commands through a pipe, because other users can see the arguments of a process
redis() {
    local answer
    answer=$({ printf 'AUTH %s\n' "$1"; shift; printf '%s\n' "$@"; } | $compose exec -T redis redis-cli)
    if grep -qv '^OK' <<<"$answer"; then say "Redis: $answer"; exit 1; fi
}

begin() {
    local old new first=()
    new=$(get "${name}_NEXT")
    [ -n "$new" ] || { new=$(fresh); put "${name}_NEXT" "$new"; }
    old=$(get "$name")
    [ -n "$old" ] || { say "$name is not in .env"; exit 64; }
    case $name in
    TANDEM_SECRET)
        # Nodes with only one of the two would refuse each other's people, so the new one is announced first. It is TANDEM_SECRET_NEXT for as long.
        [ -z "$(get TANDEM_SECRET_PREVIOUS)" ] || { say "the TANDEM_SECRET from before is still good: scripts/rotate-secret.sh TANDEM_SECRET --forget takes it back"; exit 1; }
        put ROTATING TANDEM_SECRET TANDEM_SECRET_PREVIOUS "$new"
        return
        ;;
    REDIS_PASSWORD)
        redis "$old" "ACL SETUSER default >$new" "ACL SAVE"
        [ -n "$(get REDIS_FIRST_PASSWORD)" ] || first=(REDIS_FIRST_PASSWORD "$old")
        ;;
    POSTGRES_PASSWORD)
        # A role has only one password. Open connections stay; a service that needs a new connection before its restart waits, and logs that.
        printf "ALTER ROLE tandem PASSWORD '%s';\n" "$new" | $compose exec -T postgres psql --quiet --set ON_ERROR_STOP=1 --username tandem --dbname tandem
        [ -n "$(get POSTGRES_FIRST_PASSWORD)" ] || first=(POSTGRES_FIRST_PASSWORD "$old")
        ;;
    esac
    put ROTATING "$name" "${name}_PREVIOUS" "$old" "$name" "$new" "${name}_NEXT" "" "${first[@]}"
}

in_compose() {
    local rotating old
    [ -e .env ] || { say "there is no .env: scripts/compose-secrets.sh writes one"; exit 64; }
    rotating=$(get ROTATING)
    case $rotating in
    "") begin ;;
    "$name") say "going on with $name" ;;
    *) say "$rotating is being changed: scripts/rotate-secret.sh $rotating brings that to its end first"; exit 1 ;;
    esac
    if [ "$name" = TANDEM_SECRET ] && [ -n "$(get TANDEM_SECRET_NEXT)" ]; then
        say "the nodes learn the new one"
        roll
        put TANDEM_SECRET_PREVIOUS "$(get TANDEM_SECRET)" TANDEM_SECRET "$(get TANDEM_SECRET_NEXT)" TANDEM_SECRET_NEXT ""
        say "and use it"
    fi
    old=$(get "${name}_PREVIOUS")
    if [ "$name" = TURN_SECRET ] && [ "$(running coturn)" != 0 ]; then
        say "coturn is restarted: relayed calls are interrupted once"
        up coturn
        wait_for coturn 1
    fi
    roll
    case $name in
    REDIS_PASSWORD)
        redis "$(get "$name")" "ACL SETUSER default <$old" "ACL SAVE"
        put ROTATING "" REDIS_PASSWORD_PREVIOUS ""
        ;;
    POSTGRES_PASSWORD) put ROTATING "" POSTGRES_PASSWORD_PREVIOUS "" ;;
    *) put ROTATING "" ;;
    esac
    say "$name is another one"
}

forget() {
    [ -n "$(get "${name}_PREVIOUS")" ] || { say "there is no $name from before"; exit 1; }
    put "${name}_PREVIOUS" ""
    case $name in
    TANDEM_SECRET) roll ;;
    *) if [ "$(running coturn)" != 0 ]; then up coturn; wait_for coturn 1; fi ;;
    esac
    say "$name from before is good no more"
}

case $place in
compose) in_compose ;;
forget) forget ;;
esac
