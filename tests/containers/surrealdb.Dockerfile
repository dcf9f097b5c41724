# Stands for the image `surrealdb/surrealdb`: the same program name, user and entry point, with the
# server that is built from its crate.
ARG BASE
FROM ${BASE}
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o 65532 -g 65532 /data
COPY surreal /surreal
VOLUME /data
USER 65532
EXPOSE 8000
ENTRYPOINT ["/surreal"]
