# syntax=docker/dockerfile:1
# docker build -t matrix-appservice-letta .
# docker run -v letta:/data matrix-appservice-letta          (the folder holds config.yaml, registration.yaml, the journal)
# docker run --rm -v letta:/data --entrypoint matrix-appservice-letta matrix-appservice-letta init --dir /data …

FROM rust:1.95-bookworm AS builder
RUN apt-get update && apt-get install -y --no-install-recommends libclang-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
# The mounts keep what was downloaded and built from one image to the next, so the binary is copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --ignore-rust-version --bin matrix-appservice-letta \
    && cp target/release/matrix-appservice-letta /usr/local/bin/

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    # A fixed id, so that the owner of a mounted folder can be set before the container runs.
    && groupadd --gid 1337 letta \
    && useradd --uid 1337 --gid letta --home-dir /data --no-create-home --shell /usr/sbin/nologin letta \
    && install -d -o letta -g letta -m 0750 /data
COPY --from=builder /usr/local/bin/matrix-appservice-letta /usr/local/bin/
USER letta
WORKDIR /data
VOLUME /data
# The homeserver reaches the bridge here; inside a container that is never the loopback address.
ENV BRIDGE_APPSERVICE__HOSTNAME=0.0.0.0
# 6167 is the embedded homeserver; 29400 the bridge beside another one.
ENV TUWUNEL_ADDRESS=0.0.0.0
EXPOSE 6167 29400
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["matrix-appservice-letta", "health"]
ENTRYPOINT ["matrix-appservice-letta", "run", "-c", "/data/config.yaml"]
