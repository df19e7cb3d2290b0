FROM python:3.11-slim

RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 reviewer

WORKDIR /opt/trojaninterpret
COPY requirements.txt pyproject.toml README.md ./
# PyTorch's own index of CPU builds makes a much smaller image: docker build --build-arg TORCH_INDEX=...
ARG TORCH_INDEX=""
RUN pip install --no-cache-dir torch==2.13.0 ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} \
    && sed '/^# development/,$d' requirements.txt > /tmp/run.txt \
    && pip install --no-cache-dir -r /tmp/run.txt
COPY ti_core ti_core
COPY app app
COPY .streamlit .streamlit
COPY assets assets
RUN pip install --no-cache-dir --no-deps --editable .

# Finished inspections are kept in a volume, so that they outlive the container.
RUN mkdir -m 700 /home/reviewer/data && chown reviewer /home/reviewer/data
USER reviewer
ENV TROJANINTERPRET_CACHE=/tmp/trojaninterpret \
    TROJANINTERPRET_HOME=/home/reviewer/data
VOLUME /home/reviewer/data
EXPOSE 8501
HEALTHCHECK CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=3)"]
# Inside the container every address; publish it to this machine only: docker run -p 127.0.0.1:8501:8501 IMAGE
CMD ["streamlit", "run", "app/main.py", "--server.address=0.0.0.0"]
