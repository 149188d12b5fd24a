# Built nowhere yet: the machine where it was written has no container engine.
FROM python:3.12-slim AS wheel
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /dist .

FROM python:3.12-slim
# LightGBM's wheel links libgomp
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
# An environment of its own: our five top-level names are generic and share it with nobody.
RUN python -m venv /opt/rekindle
ENV PATH=/opt/rekindle/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# The lock also pins what only developers need; as constraints it installs the running part alone.
COPY requirements.lock /tmp/requirements.lock
COPY --from=wheel /dist/*.whl /tmp/
RUN pip install --no-cache-dir --constraint /tmp/requirements.lock /tmp/*.whl \
    && rm /tmp/*.whl /tmp/requirements.lock
RUN useradd --system --no-create-home --uid 10001 rekindle
USER 10001
EXPOSE 6066
# rekindle leaves within 10 s of SIGTERM
STOPSIGNAL SIGTERM
ENTRYPOINT ["rekindle"]
CMD ["worker"]
