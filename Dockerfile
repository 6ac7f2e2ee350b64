# The app for strangers, on CPUs: docker build -t ecenet . && docker run --rm -p 7860:7860 ecenet --weights camvid
FROM python:3.11-slim-bookworm

# PyTorch's wheels for CPUs carry no CUDA, which is most of the others' size. For a GPU name another of its indices.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

# Fixed, as Spaces and mounted volumes expect it.
RUN useradd --create-home --uid 1000 explorer

WORKDIR /app
COPY requirements.txt ./
RUN grep -E '^torch(vision)?[>=]' requirements.txt > torch.txt \
    && pip install --no-cache-dir --index-url "$TORCH_INDEX" -r torch.txt \
    && pip install --no-cache-dir -r requirements.txt \
    && rm torch.txt
COPY . .
RUN python -m compileall -q app.py ecenet

# Code and weights belong to root: the app writes to its home and to /tmp alone.
USER 1000
ARG COMMIT=""
ENV ECENET_COMMIT=$COMMIT \
    HOME=/home/explorer \
    NUMBA_CACHE_DIR=/tmp/numba \
    GRADIO_TEMP_DIR=/tmp/gradio \
    PYTHONUNBUFFERED=1

EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=10s --start-period=2m --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/health', timeout=8)"]
ENTRYPOINT ["python", "app.py", "--host", "0.0.0.0", "--port", "7860", "--public"]
CMD ["--weights", "everyday"]
