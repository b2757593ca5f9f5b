# Countersign for real use: `docker build -t countersign .`; see compose.yaml for a whole.
# It needs a Postgres server (DATABASE_URL or DATABASE_URL_FILE); the image holds none.

FROM rust:1-bookworm AS build
WORKDIR /build
COPY . .
# What cargo downloads and compiles stays with the builder (BuildKit), so that the next build has little to do.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target \
    cargo build --locked --release --bin countersign && cp target/release/countersign /usr/local/bin/countersign

FROM debian:bookworm-slim
# A number, so that Kubernetes can see that it is not root (runAsNonRoot).
RUN groupadd --gid 10001 countersign \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/countersign --shell /usr/sbin/nologin countersign \
 && install -d -o 10001 -g 10001 -m 0700 /var/lib/countersign
COPY --from=build /usr/local/bin/countersign /usr/local/bin/countersign
USER 10001:10001
WORKDIR /var/lib/countersign
ENV COUNTERSIGN_LISTEN=0.0.0.0:8080 \
    COUNTERSIGN_DATA=/var/lib/countersign
EXPOSE 8080
# Asks /readyz of the server in this container; the image has no curl.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["countersign", "healthcheck"]
ENTRYPOINT ["countersign"]
CMD ["serve"]
