#!/usr/bin/env bash
# Creates the Secret `tandem` with random values, unless it exists. If a secret store has the values, use the component external-secret
# instead.
#   scripts/k8s-secrets.sh NAMESPACE
# With a managed database: POSTGRES_PASSWORD=... REDIS_PASSWORD=... scripts/k8s-secrets.sh NAMESPACE
set -euo pipefail
namespace=${1:?usage: k8s-secrets.sh NAMESPACE}
kubectl=${KUBECTL:-kubectl}
secret() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
if $kubectl --namespace "$namespace" get secret tandem >/dev/null 2>&1; then
    echo "the Secret is there already: nothing is changed" >&2
    exit 0
fi
$kubectl get namespace "$namespace" >/dev/null 2>&1 || $kubectl create namespace "$namespace"
# Through a pipe, because other users can see the arguments of a process.
$kubectl --namespace "$namespace" create secret generic tandem --from-env-file=<(
    echo "TANDEM_SECRET=${TANDEM_SECRET:-$(secret)}"
    echo "REDIS_PASSWORD=${REDIS_PASSWORD:-$(secret)}"
    echo "POSTGRES_PASSWORD=${POSTGRES_PASSWORD:-$(secret)}"
    echo "TURN_SECRET=${TURN_SECRET:-$(secret)}"
)
