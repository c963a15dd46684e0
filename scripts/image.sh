#!/usr/bin/env bash
# The image, step by step as the pipeline does it. IMAGE: registry/name; the tag is the commit.
#   IMAGE=ghcr.io/example/tandem scripts/image.sh build   for this machine, into the local docker
#   ... scan    known holes in the image and in Cargo.lock; ends with 1 if one is high and can be mended
#   ... sbom    what is in it, as sbom.spdx.json
#   ... push    for amd64 and arm64, with provenance; prints name@digest, and writes it to image.txt
set -euo pipefail
cd "$(dirname "$0")/.."
image=${IMAGE:?registry/name of the image}
revision=$(git rev-parse HEAD)
tag=${TAG:-$revision}
# Tools by version: what they find today they find tomorrow.
trivy=aquasec/trivy:0.67.2
syft=anchore/syft:v1.36.0
build=(docker buildx build --build-arg "VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)"
    --build-arg "REVISION=$revision" --build-arg "SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)")

in_docker() { docker run --rm -v /var/run/docker.sock:/var/run/docker.sock -v "$PWD:/src" -w /src "$@"; }

case ${1:-} in
build)
    "${build[@]}" --load --tag "$image:$tag" .
    size=$(docker image inspect --format '{{.Size}}' "$image:$tag")
    echo "$image:$tag: $((size / 1024 / 1024)) MiB"
    ;;
scan)
    in_docker "$trivy" image --exit-code 1 --severity HIGH,CRITICAL --ignore-unfixed "$image:$tag"
    in_docker "$trivy" filesystem --exit-code 1 --severity HIGH,CRITICAL --ignore-unfixed --scanners vuln Cargo.lock
    ;;
sbom) in_docker "$syft" scan "docker:$image:$tag" --output spdx-json=/src/sbom.spdx.json ;;
push)
    "${build[@]}" --platform linux/amd64,linux/arm64 --provenance=mode=max --sbom=true --tag "$image:$tag" \
        --output "type=registry,rewrite-timestamp=true" --metadata-file image.json .
    digest=$(python3 -c 'import json; print(json.load(open("image.json"))["containerimage.digest"])')
    echo "$image:$tag@$digest" | tee image.txt
    ;;
*) echo "usage: $0 build|scan|sbom|push" >&2; exit 64 ;;
esac
