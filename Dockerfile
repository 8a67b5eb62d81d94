# syntax=docker/dockerfile:1
# Two stages: what builds the package stays behind. The image holds Python, the locked dependencies and the daemon; no
# compiler, no pip of its own, no shell script. It runs as a user without a name and writes nothing to its root.
#
#   docker build -t pggit-alertd .
#   docker run --read-only --cap-drop ALL -e PGGIT_ALERTD_DATABASE_URL_FILE=/run/secrets/database_url ... pggit-alertd

ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore

# Dependencies first: this layer changes only with the lock. The same paths are used in both stages.
COPY .ci/lock-build.txt .ci/lock-run.txt .ci/
RUN pip install --require-hashes --only-binary :all: -r .ci/lock-build.txt \
 && python -m venv --without-pip /opt/pggit-alertd \
 && pip --python /opt/pggit-alertd install --require-hashes --only-binary :all: -r .ci/lock-run.txt

COPY pyproject.toml README.md LICENSE ./
COPY sql sql
COPY src src
RUN python -m hatchling build -t wheel -d dist \
 && pip --python /opt/pggit-alertd install --no-index --no-deps dist/*.whl \
 && /opt/pggit-alertd/bin/pggit-alertd --help >/dev/null

FROM python:${PYTHON}-slim
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="pggit-alertd" \
      org.opencontainers.image.description="Delivers pgGit performance alerts from PostgreSQL to email, Slack and PagerDuty" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.vendor="pggit-alertd maintainers"

COPY --from=build /opt/pggit-alertd /opt/pggit-alertd
# 0.0.0.0 is this container's own network; what is published from it is decided where it is run.
ENV PATH=/opt/pggit-alertd/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PGGIT_ALERTD_HTTP_HOST=0.0.0.0

# A number, so that Kubernetes can see that runAsNonRoot holds.
USER 10001:10001
WORKDIR /
EXPOSE 8580
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["pggit-alertd", "healthcheck", "--live"]
ENTRYPOINT ["pggit-alertd"]
CMD ["run"]
