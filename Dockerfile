# syntax=docker/dockerfile:1
FROM swift:6.3-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends libpq-dev libhiredis-dev libssl-dev libargon2-dev libpcre2-dev pkg-config \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# Dependencies in a layer of their own: a change of our sources does not fetch them again.
COPY Package.* ./
RUN swift package resolve
# The manifest names the test targets, so their folders must exist.
COPY Sources Sources
COPY Tests Tests
RUN swift build -c release --static-swift-stdlib --product hsafa-gateway \
 && swift build -c release --static-swift-stdlib --product hsafa \
 && install -D -t /out "$(swift build -c release --static-swift-stdlib --show-bin-path)/hsafa-gateway" \
    "$(swift build -c release --static-swift-stdlib --show-bin-path)/hsafa"

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends libpq5 libhiredis0.14 libssl3 libargon2-1 libpcre2-8-0 libstdc++6 zlib1g ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin hsafa
COPY --from=build /out/hsafa-gateway /out/hsafa /usr/local/bin/
COPY docker/healthcheck.sh /usr/local/bin/healthcheck
COPY migrations /opt/hsafa/migrations
COPY policies /opt/hsafa/policies
COPY openapi.yaml /opt/hsafa/openapi.yaml
COPY viewer /opt/hsafa/viewer
ENV HOST=0.0.0.0 \
    PORT=3000 \
    MIGRATIONS_DIR=/opt/hsafa/migrations \
    POLICIES_DIR=/opt/hsafa/policies \
    OPENAPI_FILE=/opt/hsafa/openapi.yaml \
    DOCS_DIR=/opt/hsafa/viewer
WORKDIR /opt/hsafa
USER 10001
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["healthcheck"]
ENTRYPOINT ["hsafa-gateway"]
CMD ["serve"]
