# The service as an image: one binary on a base without a shell. For another architecture it is compiled across, on the builder's
# own, so nothing of that architecture runs here and no emulator is needed. `deno task test:image` builds this file and tries it.
#
# Both bases are pinned by tag. To pin them by digest, ask `docker buildx imagetools inspect NAME` and give NAME@sha256:… by
# --build-arg, or write it here.
ARG DENO_IMAGE=denoland/deno:2.9.6
ARG BASE_IMAGE=gcr.io/distroless/cc-debian12:nonroot

# Packages in a stage of their own, made anew when their list changes. "--frozen": only what the lock file says.
FROM --platform=$BUILDPLATFORM ${DENO_IMAGE} AS packages
ENV DENO_DIR=/deno-dir
WORKDIR /build
COPY deno.json deno.lock ./
RUN --mount=type=cache,target=/deno-dir,sharing=locked deno install --frozen

FROM packages AS build
COPY scripts scripts
COPY src src
# The engine says which platform; empty where it does not: the builder's own.
ARG TARGETPLATFORM
ARG BUILD_COMMIT=unknown
RUN --mount=type=cache,target=/deno-dir,sharing=locked deno run -A scripts/compile.ts --platform="$TARGETPLATFORM"

# For compose.yaml: the mock Moogsoft and the generator run from source. Nothing of it is in the image below.
FROM ${DENO_IMAGE} AS demo
ENV DENO_DIR=/deno-dir
WORKDIR /app
COPY --from=packages /build ./
COPY src src
COPY demo demo
COPY testkit/mutt testkit/mutt
USER 1000:1000

FROM ${BASE_IMAGE} AS remediation
ARG VERSION=0.1.0
ARG BUILD_COMMIT=unknown
ARG SOURCE_URL=
LABEL org.opencontainers.image.title="mutt-remediation" \
      org.opencontainers.image.description="Replays dead letters of Redis lists once the system behind them can take them" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$BUILD_COMMIT" \
      org.opencontainers.image.source="$SOURCE_URL" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /build/dist/mutt-remediation /usr/local/bin/mutt-remediation
USER 1000:1000
WORKDIR /
# Metrics, health.
EXPOSE 8086 8087 8088
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s --retries=3 CMD ["/usr/local/bin/mutt-remediation", "health"]
ENTRYPOINT ["/usr/local/bin/mutt-remediation"]
