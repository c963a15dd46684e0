#!/usr/bin/env bash
# Builds, scans and pushes the image, in the steps of the pipeline. IMAGE: registry/name; the tag is the commit.
#   IMAGE=ghcr.io/example/tandem scripts/image.sh build   builds for this machine, into the local docker and image.tar
#   ... sbom    lists the contents of image.tar in sbom.spdx.json; fails if it finds no crates or no packages
#   ... scan    looks for known vulnerabilities in image.tar and Cargo.lock; fails if a high one has a fix
#   ... push    pushes for amd64 and arm64, with provenance; prints name@digest, and writes it to image.txt
# Scanners get a file and no access to docker, so they cannot change or push anything.
set -euo pipefail
cd "$(dirname "$0")/.."
image=${IMAGE:?registry/name of the image}
# Registries accept only lower-case names, but the name of an account may have capitals.
image=${image,,}
git() { command git -c safe.directory="$PWD" "$@"; }
revision=$(git rev-parse HEAD)
tag=${TAG:-$revision}
# Pinned by digest, because a tag can be moved.
trivy=aquasec/trivy:0.69.3@sha256:bcc376de8d77cfe086a917230e818dc9f8528e3c852f7b1aff648949b6258d1c
syft=anchore/syft:v1.42.3@sha256:5999d209a342e55e9edf70bf8930fb5b86d8f2a783fa401178372c50e21b1d36
build=(docker buildx build --build-arg "VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)"
    --build-arg "REVISION=$revision" --build-arg "SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)")

# scanner ARGUMENT...   runs the scanner; it can read the image and the list of crates, and write only to out/
scanner() {
    mkdir -p out/cache
    docker run --rm --user "$(id -u):$(id -g)" --cap-drop ALL --security-opt no-new-privileges -e HOME=/out/cache -e TMPDIR=/out/cache \
        -e TRIVY_CACHE_DIR=/out/cache/trivy -v "$PWD/image.tar:/image.tar:ro" -v "$PWD/Cargo.lock:/Cargo.lock:ro" -v "$PWD/out:/out" "$@"
}

case ${1:-} in
build)
    "${build[@]}" --load --tag "$image:$tag" .
    docker save --output image.tar "$image:$tag"
    size=$(docker image inspect --format '{{.Size}}' "$image:$tag")
    echo "$image:$tag: $((size / 1024 / 1024)) MiB"
    ;;
scan)
    scanner "$trivy" image --input /image.tar --exit-code 1 --severity HIGH,CRITICAL --ignore-unfixed
    scanner "$trivy" filesystem --exit-code 1 --severity HIGH,CRITICAL --ignore-unfixed --scanners vuln /Cargo.lock
    ;;
sbom)
    scanner "$syft" scan docker-archive:/image.tar --output spdx-json=/out/sbom.spdx.json
    # A scan that cannot read the image finds nothing either.
    python3 - out/sbom.spdx.json <<'SEEN'
import json, sys
text = [ref["referenceLocator"] for package in json.load(open(sys.argv[1]))["packages"] for ref in package.get("externalRefs", [])]
seen = {kind: sum(one.startswith(f"pkg:{kind}/") for one in text) for kind in ("cargo", "deb")}
print(f"the image has {seen['cargo']} crates and {seen['deb']} packages of Debian")
sys.exit(0 if seen["cargo"] > 50 and seen["deb"] else "the scanner does not see what is in the image: it would find no hole either")
SEEN
    cp out/sbom.spdx.json sbom.spdx.json
    ;;
push)
    "${build[@]}" --platform linux/amd64,linux/arm64 --provenance=mode=max --tag "$image:$tag" \
        --output "type=registry,rewrite-timestamp=true" --metadata-file image.json .
    digest=$(python3 -c 'import json; print(json.load(open("image.json"))["containerimage.digest"])')
    echo "$image:$tag@$digest" | tee image.txt
    ;;
*) echo "usage: $0 build|sbom|scan|push" >&2; exit 64 ;;
esac
