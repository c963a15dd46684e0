#!/usr/bin/env bash
# Returns nodes and workers to the revision that ran before the last rollout of scripts/deploy.sh. With two colours, new sockets go to the
# previous colour again. A Deployment that the rollout did not change stays as it is, so that after a rollout that failed early nothing goes
# back too far. Tables stay: migrations only add (expand), and what the old release needs is removed one release later (contract).
#   scripts/rollback.sh NAMESPACE
set -euo pipefail
namespace=${1:?usage: rollback.sh NAMESPACE}
kubectl=${KUBECTL:-kubectl}

# of OBJECT PATH   prints a field of the object, or nothing
of() { $kubectl --namespace "$namespace" get "$1" -o "jsonpath={$2}"; }

components='worker,node'
active=$(of service/node .spec.selector.color)
if [ -n "$active" ]; then
    before=$(of service/node '.metadata.annotations.tandem-before')
    if [ "${before:-none}" = "$active" ]; then
        echo "the sockets were not switched: $active keeps them"
    else
        "$(dirname "$0")/switch-color-k8s.sh" "$namespace" "${before:-$([ "$active" = blue ] && echo green || echo blue)}"
    fi
    components=worker
fi
undone=()
for deployment in $($kubectl --namespace "$namespace" get deployment -o name -l "app.kubernetes.io/component in ($components)"); do
    now=$(of "$deployment" '.metadata.annotations.deployment\.kubernetes\.io/revision')
    before=$(of "$deployment" '.metadata.annotations.tandem-before')
    if [ -n "$before" ] && [ "$before" = "$now" ]; then
        echo "$deployment is as it was before the rollout"
        continue
    fi
    if [ -z "$before" ] && [ "$now" = 1 ]; then
        echo "$deployment is the first that ever ran: there is nothing to go back to"
        continue
    fi
    $kubectl --namespace "$namespace" rollout undo "$deployment" ${before:+"--to-revision=$before"}
    undone+=("$deployment")
done
for deployment in "${undone[@]}"; do
    # A rollout takes 35 s for each of up to 20 nodes.
    $kubectl --namespace "$namespace" rollout status "$deployment" --timeout=30m
    # The restored revision has a new number: a second run has nothing to undo.
    now=$(of "$deployment" '.metadata.annotations.deployment\.kubernetes\.io/revision')
    $kubectl --namespace "$namespace" annotate --overwrite "$deployment" "tandem-before=$now"
done
