# The service with everything it needs, pinned. Settings come as a file mounted at /etc/optimizer/optimizer.yaml, keys
# and the database's address through the environment.
FROM python:3.12-slim AS build
WORKDIR /src
COPY requirements/serve.txt requirements/serve.txt
RUN python -m venv /opt/optimizer \
    && /opt/optimizer/bin/pip install --no-cache-dir --require-hashes -r requirements/serve.txt
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel . \
    && /opt/optimizer/bin/pip install --no-cache-dir --no-deps /wheel/*.whl

FROM python:3.12-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/optimizer --shell /usr/sbin/nologin optimizer
COPY --from=build /opt/optimizer /opt/optimizer
ENV PATH=/opt/optimizer/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
WORKDIR /var/lib/optimizer
VOLUME /var/lib/optimizer
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["optimizer"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080", "--workers", "2"]
