#!/usr/bin/env bash
# Deploys a release to a cluster, in two steps; each can be repeated.
#   scripts/deploy.sh OVERLAY IMAGE migrate   applies everything but nodes and workers, then runs the migration of that image as a Job
#   scripts/deploy.sh OVERLAY IMAGE rollout   applies everything, and waits until all pods are new
#   scripts/deploy.sh OVERLAY IMAGE render    prints what a rollout would apply
# scripts/preflight checks the cluster before anything is applied; PREFLIGHT=no skips that.
# OVERLAY: dev, staging or prod. IMAGE: registry/name:tag, with or without @digest. KUBECTL: the kubectl to use.
# With the component bluegreen only the inactive colour gets the image. The next step is then scripts/switch-color-k8s.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# != 3 ]; then echo "usage: $0 OVERLAY IMAGE migrate|rollout|render" >&2; exit 64; fi
overlay=$1 image=$2 step=$3
kubectl=${KUBECTL:-kubectl}
[ -d "overlays/$overlay" ] || { echo "there is no overlays/$overlay" >&2; exit 64; }
[[ $image =~ ^[^@]+:[^/@]+(@sha256:[0-9a-f]{64})?$ ]] || { echo "$image has no tag" >&2; exit 64; }

# A copy of the overlay with other images; it is made beside the overlay, so that relative paths stay valid.
release=$(mktemp -d "overlays/.release-XXXXXX")
trap 'rm -rf "$release"' EXIT
set_image() { # TARGET PATH IMAGE
    printf '  - target: {%s}\n    patch: |-\n      - {op: replace, path: %s/image, value: "%s"}\n' "$1" "$2" "$3"
}
begin() { printf 'apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../%s]\npatches:\n' "$overlay"; }

manifests=$($kubectl kustomize "overlays/$overlay")
namespace=$(sed -n '/^kind: Namespace$/,/^---$/s/^  name: //p' <<<"$manifests")
{
    begin
    set_image 'kind: Deployment, name: worker' /spec/template/spec/initContainers/0 "$image"
    set_image 'kind: Deployment, name: worker' /spec/template/spec/containers/0 "$image"
    set_image 'kind: CronJob, name: migrate' /spec/jobTemplate/spec/template/spec/containers/0 "$image"
    node='kind: Deployment, labelSelector: "app.kubernetes.io/component=node'
    if grep -q '^  name: node-green$' <<<"$manifests"; then
        active=$($kubectl --namespace "$namespace" get service node --ignore-not-found -o 'jsonpath={.spec.selector.color}')
        active=${active:-blue}
        running=$($kubectl --namespace "$namespace" get deployment "node-$active" --ignore-not-found \
            -o 'jsonpath={.spec.template.spec.containers[0].image}')
        other=$([ "$active" = blue ] && echo green || echo blue)
        set_image "$node,color=$active\"" /spec/template/spec/containers/0 "${running:-$image}"
        set_image "$node,color=$other\"" /spec/template/spec/containers/0 "$image"
        printf '  - target: {kind: Service, name: node}\n    patch: |-\n      - {op: replace, path: /spec/selector/color, value: %s}\n' "$active"
    else
        set_image "$node\"" /spec/template/spec/containers/0 "$image"
    fi
} >"$release/kustomization.yaml"
manifests=$($kubectl kustomize "$release")
if [ "$step" = render ]; then echo "$manifests"; exit; fi
if [ "${PREFLIGHT:-yes}" != no ]; then scripts/preflight "$overlay"; fi
# An account that has rights only inside the namespace cannot apply the namespace itself, and need not.
apply() {
    if [ "$($kubectl auth can-i patch namespaces 2>/dev/null || true)" = yes ]; then
        $kubectl apply "$@" -f - <<<"$manifests"
    else
        $kubectl apply "$@" -f - < <(awk -v RS='---\n' '!/(^|\n)kind: Namespace\n/ { printf "%s---\n", $0 }' <<<"$manifests")
    fi
}
# A rollout takes some 35 s for each node.
nodes=$($kubectl --namespace "$namespace" get deployment -l app.kubernetes.io/component=node -o 'jsonpath={range .items[*]}{.spec.replicas}{"\n"}{end}' | sort -n | tail -n 1)
minutes=$((10 + ${nodes:-0}))

case $step in
migrate)
    apply --selector 'app.kubernetes.io/component notin (node,worker)'
    job=migrate-$(date -u +%Y%m%d%H%M%S)
    $kubectl --namespace "$namespace" create job "$job" --from=cronjob/migrate
    for _ in $(seq 300); do
        state=$($kubectl --namespace "$namespace" get job "$job" -o 'jsonpath={.status.conditions[?(@.status=="True")].type}')
        case $state in
        *Complete*) echo "$job is done"; exit ;;
        *Failed*) break ;;
        esac
        sleep 2
    done
    $kubectl --namespace "$namespace" logs "job/$job" --all-containers --tail=50 >&2 || true
    echo "$job did not succeed: nothing was rolled out" >&2
    exit 1
    ;;
rollout)
    # scripts/rollback.sh goes back to the revisions that run now, and to the colour that gets new sockets now.
    for deployment in $($kubectl --namespace "$namespace" get deployment -o name -l 'app.kubernetes.io/component in (node,worker)'); do
        now=$($kubectl --namespace "$namespace" get "$deployment" -o 'jsonpath={.metadata.annotations.deployment\.kubernetes\.io/revision}')
        $kubectl --namespace "$namespace" annotate --overwrite "$deployment" "tandem-before=$now" >/dev/null
    done
    if [ -n "${active:-}" ] && [ -n "$($kubectl --namespace "$namespace" get service node --ignore-not-found -o name)" ]; then
        $kubectl --namespace "$namespace" annotate --overwrite service node "tandem-before=$active" >/dev/null
    fi
    apply
    for deployment in $($kubectl --namespace "$namespace" get deployment -o name -l 'app.kubernetes.io/component in (node,worker)'); do
        $kubectl --namespace "$namespace" rollout status "$deployment" --timeout="${minutes}m"
    done
    ;;
*) echo "usage: $0 OVERLAY IMAGE migrate|rollout|render" >&2; exit 64 ;;
esac
