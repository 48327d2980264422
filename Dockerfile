# One image for every process of latido; the command says which: worker, collector, dashboard, ...
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt LICENSE README.md ./
COPY schemas schemas
COPY stream stream
RUN python -m venv /opt/latido \
 && /opt/latido/bin/pip install --no-cache-dir --constraint constraints.txt ".[worker,collector,dashboard]"

FROM python:3.13-slim
RUN useradd --system --create-home --uid 10001 latido
COPY --from=build /opt/latido /opt/latido
ENV PATH=/opt/latido/bin:$PATH PYTHONUNBUFFERED=1
USER latido
ENTRYPOINT ["latido"]
CMD ["--help"]
