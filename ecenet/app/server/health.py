"""The health check of the model, for Docker's HEALTHCHECK and other monitoring."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import torch
from fastapi import Request
from fastapi.responses import JSONResponse
from PIL import Image
from starlette.routing import Route

from ecenet import __version__
from ecenet.analysis.embeddings.umap_worker import UmapWorker
from ecenet.common.logs import log_event
from ecenet.data.images import load_image
from ecenet.inference.predictor import Predictor

PROBED_EVERY = 30.0
"""Minimum time between probes in seconds."""
STUCK_AFTER = 60.0
"""Seconds after which a running probe counts as failed."""
PROBE = load_image(Image.new("RGB", (64, 64)))
PROBE_SCALE = 0.25
"""Scale of the input size for probes: a sixteenth of the work of a prediction."""
_logger = logging.getLogger(__name__)


class Health:
    """Health of the model that the app was started with.

    Args:
        predictor: a predictor that has just been used successfully.
        probe_every: minimum time between probes in seconds.
    """

    def __init__(self, predictor: Predictor, *, umap: UmapWorker, probe_every: float = PROBED_EVERY) -> None:
        self._predictor = predictor
        self._umap = umap
        self._probe_every = probe_every
        self._started = self._probed = time.monotonic()
        self._answered = True
        self._one_at_a_time = threading.Lock()

    def answers(self) -> bool:
        """Return whether the model works. During a probe, the previous result counts until the probe takes too long."""
        if not self._one_at_a_time.acquire(blocking=False):
            return self._answered and time.monotonic() - self._probed < STUCK_AFTER
        try:
            if time.monotonic() - self._probed >= self._probe_every:
                self._probed = time.monotonic()
                self._answered = self._probe()
            return self._answered
        finally:
            self._one_at_a_time.release()

    @torch.inference_mode()
    def _probe(self) -> bool:
        try:
            with self._predictor.autocast():
                output = self._predictor.model(self._predictor.working_image(PROBE, scale=PROBE_SCALE))
            return bool(output.logits.isfinite().all())
        except Exception as error:  # any error of the device
            log_event(_logger, "model does not answer", level="error", error=error)
            return False

    def about(self) -> dict[str, Any]:
        """Return the version, the weights and the device."""
        return {"version": __version__, "weights": self._predictor.name, "device": self._predictor.device.type}

    def report(self, *, waiting: int, queue: int) -> dict[str, Any]:
        """Return the content of /health, which contains nothing about visitors or paths.

        Args:
            waiting: number of waiting events.
            queue: limit on waiting events.
        """
        return {
            "status": "ok" if self.answers() else "failing",
            **self.about(),
            "uptime_seconds": round(time.monotonic() - self._started),
            "waiting": waiting,
            "queue": queue,
            "umap_ready": self._umap.ready,
        }


def health_route(health: Health, *, waiting: Callable[[], int], queue: int) -> Route:
    """Return the route for GET and HEAD /health: status 200 if the model works, else 503."""

    def answer(request: Request) -> JSONResponse:
        report = health.report(waiting=waiting(), queue=queue)
        return JSONResponse(report, 200 if report["status"] == "ok" else 503, headers={"Cache-Control": "no-store"})

    return Route("/health", answer)
