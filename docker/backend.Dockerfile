# The build context is the repository's root; .dockerignore lists what is in it.
ARG UBUNTU=ubuntu:24.04@sha256:008173c23f95b170204355c12626cb5a965d779a7e1283b09e9cffbb1bf33ca3

FROM ${UBUNTU} AS base
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3.12 \
    && rm -rf /var/lib/apt/lists/*
# 1000 is Ubuntu's own user. A line in /etc/passwd, because file synchronisers look the number up.
RUN groupadd --gid 10001 todo \
    && useradd --uid 10001 --gid todo --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin todo
ENV PATH=/opt/venv/bin:${PATH} \
    PYTHONUNBUFFERED=1
WORKDIR /app

FROM base AS requirements
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3.12-venv \
    && rm -rf /var/lib/apt/lists/*
COPY backend/requirements.txt /
# pip compiles what it installs, so that a start need not; afterwards nothing here installs anything more.
RUN python3.12 -m venv /opt/venv \
    && pip install --no-cache-dir --require-hashes --requirement /requirements.txt \
    && pip uninstall --yes pip

FROM base AS application
COPY --from=requirements /opt/venv /opt/venv
COPY backend/alembic.ini ./
COPY backend/migrations migrations
COPY backend/app app
# A checkout's modes may let nobody but its owner read (umask 077).
RUN chmod --recursive u=rwX,go=rX /app

FROM application AS runtime
# Files in an image do not change: Python need not compare their times.
RUN python -m compileall -q --invalidation-mode unchecked-hash app
ARG BUILD=dev
ARG COMMIT=dev
ENV BUILD=${BUILD} COMMIT=${COMMIT}
USER 10001:10001
EXPOSE 8000 9000
# Exec form and no shell: the server is process 1 and gets SIGTERM itself.
CMD ["python", "-m", "app"]

FROM runtime AS migrate
CMD ["python", "-m", "app.migrate"]

# Development only, and none of the application: standard library alone.
FROM base AS browser-reload
COPY frontend/browser_reload/*.py browser_reload/
RUN chmod --recursive u=rwX,go=rX /app
USER 10001:10001
EXPOSE 8000
CMD ["python3.12", "-m", "browser_reload", "--listen", "0.0.0.0:8000", \
     "--backend", "backend-pods:8000", "--frontend", "frontend-pods:8080"]

FROM application AS dev
# Personal settings, where there are any.
COPY backend/.env* ./
# Tilt replaces files as the runtime user: it must own the folders as well as the files.
RUN chown --recursive 10001:10001 /app
# Two saves of one size within a second leave bytecode that Python takes for current.
ENV PYTHONDONTWRITEBYTECODE=1
# What loads its modules before it forks compiles them here, once.
COPY warmfork/src/warmfork /opt/venv/lib/python3.12/site-packages/warmfork
RUN chmod --recursive u=rwX,go=rX /opt/venv/lib/python3.12/site-packages/warmfork \
    && python -m compileall -q /opt/venv/lib/python3.12/site-packages/warmfork
USER 10001:10001
EXPOSE 8000 9000
# Process 1 holds both ports and the libraries, and forks a process that serves for each change of the code.
CMD ["python", "-m", "warmfork", "app.main:app", "--host", "0.0.0.0", "--port", "8000", "--listen", "metrics=0.0.0.0:9000", \
     "--reload-dir", "app", "--env-file", ".env", "--status-path", "/_warmfork", "--control", "/tmp/warmfork.sock", \
     "--no-access-log", "--no-server-header", "--http", "h11", "--timeout-keep-alive", "75"]
