#!/usr/bin/env bash
# Writes the PrometheusRule for Kubernetes from rules.yml, the alert rules in the format of Prometheus. Run it after each change of them.
set -euo pipefail
cd "$(dirname "$0")/../k8s/components/monitoring"
{
    cat <<'HEAD'
# Written by scripts/prometheus-rule.sh from rules.yml.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: tandem
  labels: {app.kubernetes.io/name: tandem, app.kubernetes.io/component: config, release: kube-prometheus-stack}
spec:
HEAD
    grep -v '^#' rules.yml | sed 's/^/  /'
} >prometheus-rule.yaml
