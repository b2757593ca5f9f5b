# Countersign for real use: `docker build -t countersign .`; see compose.yaml for a whole.
# It needs a Postgres server (DATABASE_URL or DATABASE_URL_FILE); the image holds none.

FROM rust:1-bookworm AS build
WORKDIR /build
# First the dependencies alone, which change seldom and take the longest: the layer is used again until Cargo.lock changes.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src && echo 'fn main() {}' > src/main.rs && touch src/lib.rs && cargo build --locked --release && rm -r src
COPY . .
RUN touch src/main.rs src/lib.rs && cargo build --locked --release --bin countersign

FROM debian:bookworm-slim
# A number, so that Kubernetes can see that it is not root (runAsNonRoot).
RUN groupadd --gid 10001 countersign \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/countersign --shell /usr/sbin/nologin countersign \
 && install -d -o 10001 -g 10001 -m 0700 /var/lib/countersign
COPY --from=build /build/target/release/countersign /usr/local/bin/countersign
USER 10001:10001
WORKDIR /var/lib/countersign
ENV COUNTERSIGN_LISTEN=0.0.0.0:8080 \
    COUNTERSIGN_DATA=/var/lib/countersign
EXPOSE 8080
# Asks /readyz of the server in this container; the image has no curl.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["countersign", "healthcheck"]
ENTRYPOINT ["countersign"]
CMD ["serve"]
