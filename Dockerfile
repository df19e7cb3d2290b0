FROM python:3.11-slim

RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 reviewer

WORKDIR /opt/trojaninterpret
COPY requirements.txt pyproject.toml README.md ./
RUN pip install --no-cache-dir torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu \
    && sed '/^# development/,$d' requirements.txt > /tmp/run.txt \
    && pip install --no-cache-dir -r /tmp/run.txt
COPY ti_core ti_core
COPY app app
COPY assets assets
RUN pip install --no-cache-dir --no-deps --editable .

USER reviewer
ENV TROJANINTERPRET_CACHE=/tmp/trojaninterpret
ENTRYPOINT ["python", "-m", "ti_core"]
CMD ["pack", "list"]
