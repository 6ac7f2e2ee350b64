"""The app served from this process, and what its API's tests send: one server for all of them."""

import importlib.util
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from PIL import Image

from ecenet.inference.prediction import Prediction
from ecenet.inference.predictor import Predictor
from tests.support.fitters import ScriptedFitter

if TYPE_CHECKING:
    from gradio_client import Client

SHOWN_ADDRESS = "http://127.0.0.1:7860"
"""In the examples of the docs."""
FILE = {"meta": {"_type": "gradio.FileData"}}
"""What marks a dictionary as a file."""


@dataclass(frozen=True)
class Served:
    """The app with the shipped weights, and a folder of the files that the examples of the docs name."""

    address: str
    folder: Path
    client: "Client"
    predictor: Predictor
    """The very one that answers."""
    prediction: Prediction
    """Of `photo.jpg`: a cat."""

    def call(self, endpoint: str, *, named: bool = True, **body: Any) -> httpx.Response:
        """What curl would send; the answer of the call where there is one, else what refused it."""
        url = f"{self.address}/gradio_api/call"
        began = httpx.post(f"{url}/{'v2/' if named else ''}{endpoint}", json=body, timeout=60)
        if began.status_code != 200:
            return began
        return httpx.get(f"{url}/{endpoint}/{began.json()['event_id']}", timeout=60)


def patient_client(address: str, **options: Any) -> "Client":
    """One that gives a busy machine a minute to answer, not httpx's five seconds."""
    from gradio_client import Client

    return Client(address, verbose=False, httpx_kwargs={"timeout": 60}, **options)


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    # Here, since Gradio takes seconds to import, and every test's fixtures come by this file.
    from ecenet.app.layout import build_app
    from ecenet.app.server.health import Health
    from ecenet.app.server.serve import serve
    from ecenet.app.state.model_registry import ModelRegistry

    with pytest.MonkeyPatch.context() as environment, socket.socket() as probe:
        environment.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("cache")))
        environment.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        registry = ModelRegistry("everyday", runs=tmp_path_factory.mktemp("no-runs"))
        umap: Any = ScriptedFitter()  # the API draws no map
        page = build_app(registry, umap=umap, runs=None)
        has_mcp = importlib.util.find_spec("mcp") is not None
        predictor = registry.open(registry.initial)
        serve(
            page,
            health=Health(predictor, umap=umap),
            host="127.0.0.1",
            port=port,
            limits=registry.limits,
            mcp=has_mcp,
            wait=False,
        )
        address = f"http://127.0.0.1:{port}"
        folder = tmp_path_factory.mktemp("photos")
        yield Served(
            address,
            folder,
            patient_client(address),
            predictor,
            _write_files(folder, predictor),
        )
        page.close()


def _write_files(folder: Path, predictor: Predictor) -> Prediction:
    """A cat, a person, a box on the forehead of the one and the suit of the other, and a truth that is the prediction
    but for its upper half."""
    import skimage.data

    for name, source in (("photo", "chelsea"), ("other", "astronaut")):
        Image.open(Path(skimage.data.__file__).parent / f"{source}.png").save(folder / f"{name}.jpg", quality=95)
    prediction = predictor.predict(folder / "photo.jpg")
    region = np.zeros(prediction.label_map.shape, dtype=np.uint8)
    region[20:60, 150:300] = 255
    elsewhere = np.zeros((512, 512), dtype=np.uint8)
    elsewhere[300:, 100:400] = 1  # her suit
    truth = prediction.label_map.copy()
    truth[: len(truth) // 2] = 255
    masks = {"region": region, "other-region": elsewhere, "truth": truth, "mask": prediction.label_map}
    for name, pixels in masks.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return prediction


def file(api: Served, name: str) -> Any:
    """One of the files in its folder, as a client uploads it."""
    from gradio_client import handle_file

    return handle_file(str(api.folder / name))
