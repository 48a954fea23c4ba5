# Two stages: the compiler stays behind. The configuration is mounted at /etc/pgbouncer.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin pgweir

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates tzdata \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 999 postgres \
    && useradd --system --uid 999 --gid 999 --no-create-home --shell /usr/sbin/nologin postgres \
    && install -d -o postgres -g postgres /var/run/postgresql /var/log/postgresql /etc/pgbouncer
COPY --from=build /src/target/release/pgweir /usr/local/bin/pgweir
USER postgres
EXPOSE 6432 9127
# SIGTERM waits for every client to leave, and Odoo's never do; SIGINT waits for transactions only.
STOPSIGNAL SIGINT
HEALTHCHECK --interval=10s --timeout=3s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9127 && printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q ' 200 ' <&3"]
ENTRYPOINT ["pgweir"]
CMD ["/etc/pgbouncer/pgbouncer.ini"]
