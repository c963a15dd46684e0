#!/usr/bin/env bash
# Blue-green under docker compose: chooses the colour that gets new sockets. Open sockets stay where they are.
#   scripts/switch-color.sh blue|green   sends new sockets to this colour, also after a restart of HAProxy
#   scripts/switch-color.sh status
# HAPROXY: a command that runs its arguments where HAProxy is; empty for this machine. HAPROXY_ADMIN_PORT, HAPROXY_STATE: as in compose/haproxy.cfg.
set -euo pipefail
cd "$(dirname "$0")/.."
haproxy=${HAPROXY-docker compose exec -T haproxy}
port=${HAPROXY_ADMIN_PORT:-9999}
state=${HAPROXY_STATE:-/var/lib/haproxy/state}

# run SCRIPT [ARGUMENT...]   runs it where HAProxy is; of all tools that can connect to a port, its image has only bash
run() {
    # shellcheck disable=SC2086 # a command with its arguments
    $haproxy bash -c "$@" </dev/null
}

# ask COMMAND   sends it to the runtime API of HAProxy
ask() {
    # shellcheck disable=SC2016 # for the other bash
    run 'exec 3<>"/dev/tcp/127.0.0.1/$0" && printf "%s\n" "$1" >&3 && cat <&3' "$port" "$1"
}

# servers   prints name,status,weight,open sockets of each server that has an address
servers() {
    ask "show stat nodes 4 -1" | awk -F, '!/^#/ && $1 != "" && $18 !~ /MAINT/ { print $2 "," $18 "," $19 "," $5 }'
}

# ready COLOUR   asks the nodes themselves, because HAProxy may not have noticed yet that one was stopped
ready() {
    local addresses
    addresses=$(ask "show servers conn nodes" | awk -v color="$1" '$1 ~ "/" color "[0-9]+$" && $4 > 0 && $3 != "-" { print $3 "/" $4 }' | sort -u)
    # shellcheck disable=SC2016,SC2086 # for the other bash; many addresses
    [ -n "$addresses" ] && run 'for address; do
        timeout 2 bash -c "exec 3<>/dev/tcp/$address && printf \"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n\" >&3 &&
            read -r line <&3 && [[ \$line == *\" 200 \"* ]]" 2>/dev/null && exit
    done; exit 1' ready $addresses
}

status() {
    servers | sort -t, -k1.1,1.1 | awk -F, '
        { color = $1; sub(/[0-9]+$/, "", color); up[color] += ($2 ~ /^UP/); weight[color] += $3; open[color] += $4 }
        END { for (color in up) printf "%-6s %d up, weight %d, %d open sockets\n", color, up[color], weight[color], open[color] }' | sort
}

case ${1:-} in
blue) other=green ;;
green) other=blue ;;
status) status; exit ;;
*) echo "usage: $0 blue|green|status" >&2; exit 64 ;;
esac
color=$1

if ! servers | grep -q "^${color}[0-9]*,UP" || ! ready "$color"; then
    echo "no node of $color is ready: nothing is switched" >&2
    exit 1
fi
# The new colour is opened before the old one is closed, so that one is open at any time.
for step in "$color 100" "$other 0"; do
    read -r name weight <<<"$step"
    for i in 1 2 3 4 5 6 7 8; do
        answer=$(ask "set server nodes/$name$i weight $weight")
        if [ -n "${answer//[$'\n ']/}" ]; then echo "HAProxy: $answer" >&2; exit 1; fi
    done
done
# shellcheck disable=SC2016 # for the other bash
run 'exec 3<>"/dev/tcp/127.0.0.1/$0" && echo "show servers state" >&3 && cat <&3 >"$1.new" && mv "$1.new" "$1"' "$port" "$state"
status
