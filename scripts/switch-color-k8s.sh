#!/usr/bin/env bash
# Blue-green in Kubernetes (component bluegreen): chooses the colour that the Service selects. Open sockets stay where they are.
#   scripts/switch-color-k8s.sh NAMESPACE blue|green
# It also writes the colour into the component, so that the next apply does not switch back: commit that change.
set -euo pipefail
cd "$(dirname "$0")/.."
namespace=${1:-} color=${2:-}
case $color in blue | green) ;; *) echo "usage: $0 NAMESPACE blue|green" >&2; exit 64 ;; esac
kubectl=${KUBECTL:-kubectl}
ready=$($kubectl --namespace "$namespace" get deployment "node-$color" -o 'jsonpath={.status.readyReplicas}')
if [ "${ready:-0}" = 0 ]; then
    echo "no node of $color is ready: nothing is switched" >&2
    exit 1
fi
old=$($kubectl --namespace "$namespace" get service node -o 'jsonpath={.spec.selector.color}')
# scripts/rollback.sh goes back to this colour.
if [ -n "$old" ] && [ "$old" != "$color" ]; then $kubectl --namespace "$namespace" annotate --overwrite service node "tandem-before=$old" >/dev/null; fi
$kubectl --namespace "$namespace" patch service node --patch "{\"spec\":{\"selector\":{\"color\":\"$color\"}}}"
sed -i "s/^    color: .*/    color: $color/" k8s/components/bluegreen/active-color.yaml
echo "$ready nodes of $color take the new sockets; those of the other colour keep theirs until they are told to stop"
