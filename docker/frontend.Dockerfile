# The build context is the repository's root; .dockerignore lists what is in it.
ARG UBUNTU=ubuntu:24.04@sha256:008173c23f95b170204355c12626cb5a965d779a7e1283b09e9cffbb1bf33ca3

FROM ${UBUNTU} AS nginx
RUN apt-get update \
    && apt-get install --yes --no-install-recommends nginx \
    && rm -rf /var/lib/apt/lists/* /usr/share/nginx/html/* /var/www/html
RUN groupadd --gid 10001 todo \
    && useradd --uid 10001 --gid todo --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin todo
COPY frontend/nginx.conf /etc/nginx/nginx.conf
# A checkout's modes may let nobody but its owner read (umask 077).
RUN chmod a+r /etc/nginx/nginx.conf
EXPOSE 8080
# SIGQUIT finishes the requests in flight; SIGTERM would cut them off.
STOPSIGNAL SIGQUIT
# Without -e Debian's build tries a log file first, which a read-only root cannot have.
CMD ["nginx", "-e", "stderr", "-g", "daemon off;"]

FROM nginx AS runtime
COPY frontend/*.html frontend/*.js frontend/*.css frontend/*.svg /usr/share/nginx/html/
RUN chmod a+r /usr/share/nginx/html/*
USER 10001:10001

FROM nginx AS dev
COPY frontend/browser_reload/nginx.conf /etc/nginx/server.d/browser-reload.conf
# Tilt replaces files as the runtime user: it must own the folder as well as the files.
COPY --chown=10001:10001 frontend/*.html frontend/*.js frontend/*.css frontend/*.svg /usr/share/nginx/html/
COPY --chown=10001:10001 frontend/browser_reload/client.js /usr/share/nginx/html/browser_reload/
RUN chown 10001:10001 /usr/share/nginx/html /usr/share/nginx/html/browser_reload \
    && chmod a+r /etc/nginx/server.d/*
USER 10001:10001
