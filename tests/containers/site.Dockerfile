# The web server that is scanned.
ARG BASE
FROM ${BASE}
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/*
COPY site.py /site.py
USER 65534
ENTRYPOINT ["python3", "-u", "/site.py"]
