# The image of Kastrel: dashboard, API, worker and built-in scanner in one program.
#
#   docker build -t kastrel .                                   # with the built-in scanner
#   docker build -t kastrel --build-arg BASE=registry.example/kast:3 .
#                                                               # on an image that has KAST: a worker with the full tool set
#   docker build -t kastrel --build-arg PROGRAM=ready .         # without a compiler: takes dist/kastrel, a program
#                                                               # that was built before, on Debian bookworm or earlier
#
# The base must be Debian bookworm or later, or a derivative of it. A base image for KAST must have
# `kast` on the PATH.
#
#   docker run --rm --init --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges -p 127.0.0.1:5000:5000 -v kastrel:/var/lib/kastrel -e KASTREL_AUTH_MODE=local kastrel serve --listen 0.0.0.0:5000
#                                                               # one container by itself; several: docker-compose.yml
#
# The log has a one-time link that creates the first administrator (docs/access.md). Write it with
# the address http://127.0.0.1:5000. The build needs BuildKit, which builds only the stages that are
# used.

ARG RUST=1.95-bookworm
ARG BASE=debian:bookworm-20251117-slim
# The stage that has the program: `build` or `ready`.
ARG PROGRAM=build

FROM rust:${RUST} AS build
# libclang generates the bindings of the storage engine.
RUN apt-get update \
    && apt-get install -y --no-install-recommends clang libclang-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin kastrel \
    && install -D target/release/kastrel /out/kastrel

FROM scratch AS ready
COPY --chmod=0755 dist/kastrel /out/kastrel

FROM ${PROGRAM} AS program

FROM ${BASE}
USER root
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates iproute2 passt \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/kastrel --create-home --shell /usr/sbin/nologin kastrel \
    && useradd --system --uid 10002 --home-dir /var/lib/kastrel-scan --create-home --shell /usr/sbin/nologin kastrel-scan \
    && usermod --append --groups kastrel-scan kastrel \
    && install -d -o kastrel -g kastrel -m 0700 /var/lib/kastrel/results /var/lib/kastrel/secrets
COPY --from=program /out/kastrel /usr/local/lib/kastrel/kastrel
# Started as root, it drops root before it starts the program; see docs/isolation.md.
COPY config/container/kastrel /usr/local/bin/kastrel

# The user kastrel. A number, so that Kubernetes knows that it is not root.
USER 10001
WORKDIR /var/lib/kastrel
ENV KASTREL_DATA_DIR=/var/lib/kastrel \
    KASTREL_LOG__FORMAT=json
VOLUME /var/lib/kastrel
EXPOSE 5000
STOPSIGNAL SIGTERM
# A server listens on port 5000 and a worker on port 5001, and the image may run either. Other
# commands end before the first check.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD kastrel ready || kastrel ready --server http://127.0.0.1:5001
ENTRYPOINT ["kastrel"]
CMD ["serve"]
