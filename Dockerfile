# syntax=docker/dockerfile:1
# The image holds the binary, the C library that it was built with, and certificates: no shell, no package manager.
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) .
# The compiler always runs on the builder's own architecture; for another one it cross-compiles.

FROM --platform=$BUILDPLATFORM rust:1.95.0-slim-bookworm AS build
ARG TARGETARCH
WORKDIR /src
COPY scripts/install-compilers.sh scripts/build-binary.sh scripts/
RUN scripts/install-compilers.sh
COPY pgo pgo
# What is depended on is built first, beside empty sources: this layer stays until Cargo.lock changes.
COPY Cargo.toml Cargo.lock ./
COPY benches/instructions/Cargo.toml benches/instructions/
COPY crates/sim/Cargo.toml crates/sim/
COPY crates/testkit/Cargo.toml crates/testkit/
COPY loadtest/Cargo.toml loadtest/
RUN scripts/build-binary.sh dependencies
COPY build.rs ./
COPY schema schema
COPY src src
RUN scripts/build-binary.sh tandem
COPY scripts/build-image-root.sh scripts/
# It differs for each commit, so all layers after it are rebuilt.
ARG SOURCE_DATE_EPOCH=0
RUN scripts/build-image-root.sh /src/out/tandem /image-root

FROM scratch
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="tandem" \
      org.opencontainers.image.description="A real-time signaling cluster: rooms that watch together and talk over WebRTC" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /image-root /
# It holds the folder `data`, the only place that is written to: a volume, or a tmpfs in a cluster. A folder that is copied gets the owner;
# one that was there already, or that the copying itself makes, would stay root's.
COPY --from=build --chown=10001:10001 /image-root-data /
# A plain `docker stop` waits 10 s before it kills. Compose and Kubernetes wait longer, and set a longer drain.
ENV PATH=/usr/local/bin \
    TANDEM_DATA_DIR=/data \
    LOG_FORMAT=json \
    DRAIN_SECONDS=5
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 4001 4002
STOPSIGNAL SIGTERM
# Of a node. compose and Kubernetes have their own for workers.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["/usr/local/bin/tandem", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/tandem"]
CMD ["serve"]
