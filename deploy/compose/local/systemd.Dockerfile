# hadolint global ignore=DL3008
# A machine with systemd as a container, on which docs/deployment.md was followed: it tries the units of deploy/systemd.
ARG BASE=vbatch-local/build-python
FROM ${BASE}
RUN apt-get update \
    && apt-get install -y --no-install-recommends dbus procps python3-venv systemd systemd-sysv util-linux \
    && rm -rf /var/lib/apt/lists/*
COPY . /opt/vbatch
WORKDIR /opt/vbatch
RUN ./taskw setup
RUN install -D -m 644 deploy/systemd/vbatch.sysusers.conf /etc/sysusers.d/vbatch.conf && systemd-sysusers \
    && cp deploy/systemd/*.service deploy/systemd/*.target /etc/systemd/system/ \
    && systemctl enable vbatch.target
ENV container=docker
STOPSIGNAL SIGRTMIN+3
CMD ["/sbin/init"]
