# Two stages: the first installs from the lock with hashes checked, the second carries only what runs.
FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
RUN pip install --no-cache-dir 'uv>=0.9'
WORKDIR /src
COPY pyproject.toml requirements.lock README.md ./
# The lock holds the tests' tools as well: the same versions and hashes, without those.
RUN uv pip compile --quiet --all-extras --generate-hashes --constraints requirements.lock pyproject.toml -o runtime.lock && \
    uv venv /opt/gateway && \
    uv pip sync --require-hashes --compile-bytecode --python /opt/gateway/bin/python runtime.lock
COPY gateway gateway
COPY evaluators evaluators
COPY dashboards dashboards
RUN uv pip install --no-deps --compile-bytecode --python /opt/gateway/bin/python .

FROM python:3.11-slim-bookworm
RUN useradd --system --create-home --uid 10001 gateway && \
    install -d -o gateway -g gateway -m 0700 /data /state
COPY --from=build /opt/gateway /opt/gateway
# Keys rest in /state, apart from /data: a copy of the data alone opens nothing. Mount both.
ENV PATH=/opt/gateway/bin:$PATH \
    GATEWAY_DATA_DIR=/data \
    GATEWAY_STATE_DIR=/state \
    GATEWAY_SERVER__HOST=0.0.0.0 \
    RAGAS_DO_NOT_TRACK=true
USER gateway
VOLUME ["/data", "/state"]
EXPOSE 4000
# Bound to every address, the gateway wants keys: mount a gateway.yaml and point GATEWAY_CONFIG to it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('GATEWAY_PORT', '4000') + '/readyz', timeout=2)"]
# A stop lets open calls and the journal come to their end: run with --stop-timeout 120 (docs/configuration.md, "A stop").
ENTRYPOINT ["gateway"]
CMD ["up"]
