#!/usr/bin/env bash
# Puts nodes and workers back to what ran before the last rollout; with two colours, the other colour gets the new sockets again.
# The tables stay: a migration only ever adds (expand), and what the old release needs is taken away one release later (contract).
#   scripts/rollback.sh NAMESPACE
set -euo pipefail
namespace=${1:?usage: rollback.sh NAMESPACE}
kubectl=${KUBECTL:-kubectl}
components='worker,node'
active=$($kubectl --namespace "$namespace" get service node -o 'jsonpath={.spec.selector.color}')
if [ -n "$active" ]; then
    "$(dirname "$0")/switch-color-k8s.sh" "$namespace" "$([ "$active" = blue ] && echo green || echo blue)"
    components=worker
fi
deployments=$($kubectl --namespace "$namespace" get deployment -o name -l "app.kubernetes.io/component in ($components)")
for deployment in $deployments; do $kubectl --namespace "$namespace" rollout undo "$deployment"; done
for deployment in $deployments; do $kubectl --namespace "$namespace" rollout status "$deployment" --timeout=15m; done
