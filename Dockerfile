# The base is named by tag, since a digest is soon outdated. To pin it: `docker buildx imagetools inspect python:3.13-slim`, then
# PYTHON=python:3.13-slim@sha256:…, here or as a build argument.
ARG PYTHON=python:3.13-slim

# --- the job's dependencies: this stage changes only with the lock, so the build can cache it ---
# hadolint ignore=DL3006
FROM ${PYTHON} AS dependencies
COPY .locks/runtime.txt /tmp/runtime.txt
RUN python -m venv --without-pip /venv && \
    python -m pip --python /venv/bin/python install --no-cache-dir --no-compile --only-binary :all: --require-hashes -r /tmp/runtime.txt && \
    find /venv -type d '(' -name tests -o -name _tests ')' -prune -exec rm -r '{}' +
# Unchecked: unpacking the image may change the files' times, and bytecode that is checked by time would then be compiled at every start.
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash /venv/lib

# --- the job itself, with its version and commit ---
# hadolint ignore=DL3006
FROM ${PYTHON} AS job
WORKDIR /app
COPY job job
ARG VERSION
ARG COMMIT
RUN test -n "${COMMIT}" && test "${VERSION}" = "$(python -B -c 'import job; print(job.__version__)')" && \
    echo "${COMMIT}" > job/COMMIT && \
    python -m compileall -q --invalidation-mode unchecked-hash job

# --- the final image ---
# hadolint ignore=DL3006
FROM ${PYTHON}
RUN python -m pip uninstall --quiet --yes --root-user-action ignore pip
COPY --from=dependencies /venv /venv
COPY --from=job /app /app
# At each start pydantic would search the metadata of every package for plugins; there are none.
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYDANTIC_DISABLE_PLUGINS=__all__
WORKDIR /app
USER 10001:10001
# The exec form: Python is process 1 and gets the SIGTERM itself.
ENTRYPOINT ["python", "-m", "job"]
CMD ["run"]
ARG VERSION
ARG COMMIT
LABEL org.opencontainers.image.title="batch-orchestrator" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"
