# A tag may be moved to another image, a digest cannot. To pin the base, ask for today's digest and give it:
#   docker buildx imagetools inspect python:3.11-slim --format '{{.Manifest.Digest}}'
#   docker build --build-arg BASE=python:3.11-slim@sha256:... -t trojaninterpret .
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
RUN python -m venv /opt/venv
COPY requirements.txt /tmp/requirements.txt
# PyTorch's own index of CPU builds makes a much smaller image: docker build --build-arg TORCH_INDEX=...
ARG TORCH_INDEX=""
RUN /opt/venv/bin/pip install --no-cache-dir torch==2.13.0 ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} \
    && sed '/^# development/,$d' /tmp/requirements.txt > /tmp/run.txt \
    && /opt/venv/bin/pip install --no-cache-dir -r /tmp/run.txt
WORKDIR /opt/trojaninterpret
COPY ti_core ti_core
COPY app app
COPY .streamlit .streamlit
COPY assets assets
# The package is found where it lies; what installs packages does not go along.
RUN echo /opt/trojaninterpret > "$(/opt/venv/bin/python -c 'import site; print(site.getsitepackages()[0])')/trojaninterpret.pth" \
    && /opt/venv/bin/python -m compileall -q ti_core app \
    && /opt/venv/bin/pip uninstall --yes --quiet pip \
    && chmod -R a+rX,go-w /opt/venv /opt/trojaninterpret

FROM ${BASE}
# OpenMP for torch, and the library of the filter on system calls that confines the workers. Their versions are those of
# the base, which is given by its digest.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 libseccomp2 \
    && rm -rf /var/lib/apt/lists/* \
    && rm -rf /usr/local/lib/python3.*/site-packages/* /usr/local/lib/python3.*/ensurepip /usr/local/bin/pip* \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
    && useradd --uid 10001 --no-log-init --create-home --shell /usr/sbin/nologin reviewer \
    && install -d -m 700 -o reviewer -g reviewer /home/reviewer/data
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/trojaninterpret /opt/trojaninterpret
WORKDIR /opt/trojaninterpret
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_ARENA_MAX=2 \
    TROJANINTERPRET_CACHE=/tmp/trojaninterpret \
    TROJANINTERPRET_HOME=/home/reviewer/data
USER 10001:10001
# Finished inspections are kept in a volume, so that they outlive the container. All else that is written lies in /tmp.
VOLUME /home/reviewer/data
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=3)"]
# Inside the container every address; publish it to this machine only, and give it no rights (docs/container.md):
#   docker run --read-only --tmpfs /tmp:size=2g,noexec,nosuid,nodev --cap-drop ALL --security-opt no-new-privileges \
#     --memory 6g --pids-limit 512 -v trojaninterpret:/home/reviewer/data -p 127.0.0.1:8501:8501 trojaninterpret
CMD ["streamlit", "run", "app/main.py", "--server.address=0.0.0.0"]
