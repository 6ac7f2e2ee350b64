"""What only a CUDA GPU can show. Needs none of the app's packages:
`pytest --noconftest tests/training/test_cuda.py`."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import load_model
from ecenet.model.network import Network
from ecenet.model.outputs import ECENetOutput
from ecenet.training.config import LossConfig
from ecenet.training.loop import train
from ecenet.training.losses.segmentation import segmentation_losses
from ecenet.training.run_folder import read_metrics
from tests.support.helpers import EXPLICIT, noise_image, small_model, small_segvit, tiny_training, write_folder

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


@pytest.fixture(autouse=True)
def full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions round to TF32 by default, to ten bits."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def picture() -> tuple[Tensor, Tensor]:
    """Two rectangles before a background and the same mirrored: (2, 3, 64, 96) and labels."""
    images, labels = torch.zeros(1, 3, 64, 96), torch.zeros(1, 64, 96, dtype=torch.long)
    images[:, 0] = 1
    images[:, :, 20:60, 10:50] = torch.tensor([-1.0, 1, -1]).view(3, 1, 1)
    images[:, :, 8:40, 60:90] = torch.tensor([-1.0, -1, 1]).view(3, 1, 1)
    labels[:, 20:60, 10:50], labels[:, 8:40, 60:90] = 1, 2
    return torch.cat([images, images.flip(-1)]).cuda(), torch.cat([labels, labels.flip(-1)]).cuda()


@pytest.fixture(scope="module", params=["ecenet", "segvit", "segvit-updater"])
def model(request: pytest.FixtureRequest) -> Network:
    """Small and on the GPU, after 60 steps on the picture."""
    made: dict[str, Callable[[], Network]] = {
        "ecenet": small_model,
        "segvit": small_segvit,
        "segvit-updater": lambda: small_segvit(**EXPLICIT),
    }
    network = made[request.param]().cuda().train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    images, labels = picture()
    for _ in range(60):
        optimizer.zero_grad()
        segmentation_losses(network(images), labels, LossConfig()).total.backward()
        optimizer.step()
    return network.eval()


@torch.no_grad()
def run(network: Network, images: Tensor) -> ECENetOutput:
    return network(images)


def assert_close(one: ECENetOutput, other: ECENetOutput, *, rtol: float, atol: float) -> None:
    assert list(one.stages) == list(other.stages)
    for name, stage in one.stages.items():
        for field, a, b in zip(stage._fields, stage, other.stages[name], strict=True):
            assert (a is None) == (b is None), f"{name}.{field}"
            if a is not None and b is not None:
                torch.testing.assert_close(
                    a.float().cpu(), b.float().cpu(), rtol=rtol, atol=atol, msg=f"{name}.{field}"
                )


def test_a_gpu_computes_what_a_cpu_does(model: Network) -> None:
    images, _ = picture()
    on_gpu = run(model, images)
    on_cpu = run(model.cpu(), images.cpu())
    model.cuda()
    assert_close(on_gpu, on_cpu, rtol=1e-3, atol=1e-3)


def test_bf16_autocast_agrees_with_fp32(model: Network) -> None:
    images, _ = picture()
    full = run(model, images)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        half = run(model, images)
    for name, stage in full.stages.items():
        other = half.stages[name]
        assert other.mask_logits.isfinite().all()
        agreement = (other.mask_logits.argmax(dim=1) == stage.mask_logits.argmax(dim=1)).float().mean()
        assert agreement > 0.95, f"{name}: {agreement:.3f}"


def test_torch_compile_makes_one_graph_of_it(model: Network) -> None:
    torch.compiler.reset()
    images, _ = picture()
    compiled: Any = torch.compile(model, fullgraph=True)
    assert_close(run(model, images), run(compiled, images), rtol=1e-3, atol=1e-3)
    with torch.no_grad(), torch.autocast("cuda", dtype=torch.bfloat16):
        assert compiled(images).logits.isfinite().all()


def test_torch_export_gives_the_same_stages(model: Network) -> None:
    images, _ = picture()
    with torch.no_grad():
        exported = torch.export.export(model, (images,)).module()
        assert_close(run(model, images), exported(images), rtol=1e-4, atol=1e-4)


def test_a_predictor_takes_the_gpu_and_bf16_by_itself(model: Network) -> None:
    predictor = Predictor(model)
    assert predictor.device.type == "cuda"
    assert predictor.half == torch.cuda.is_bf16_supported()
    photo = noise_image(97, 61)
    prediction = predictor.predict(photo)
    assert prediction.final.label_map.shape == (61, 97)
    again = predictor.predict_features(prediction.features)
    for name, stage in prediction.stages.items():
        assert (stage.label_map == again.stages[name].label_map).mean() > 0.99


KILLED = """
import os, signal, sys
sys.path.insert(0, "..")
from pathlib import Path, PosixPath
import ecenet.training.loop
from ecenet.training.config import (
    DataConfig, LossConfig, ModelConfig, OptimizerConfig, SegViTConfig, StartConfig, TrainConfig
)

save = ecenet.training.loop.save_checkpoint


def save_and_die(path, state):
    save(path, state)
    if state.step == 20:
        os.kill(os.getpid(), signal.SIGKILL)


ecenet.training.loop.save_checkpoint = save_and_die
ecenet.training.loop.train(eval(sys.argv[1]))
"""


@pytest.mark.parametrize("compiled", [False, True])
def test_a_run_that_is_killed_goes_on_where_it_was(tmp_path: Path, compiled: bool) -> None:
    data = write_folder(tmp_path / "data")
    config = tiny_training(data, tmp_path / "run", steps=40, save_every=10, compile=compiled)
    killed = subprocess.run([sys.executable, "-c", KILLED, repr(config)], cwd=Path(__file__).parent, check=False)
    assert killed.returncode == -signal.SIGKILL
    train(config)
    steps = [entry["step"] for entry in read_metrics(config.out) if "total" in entry]
    assert steps == list(range(1, 41))
    assert Predictor(load_model(config.out / "model")).predict(noise_image(64, 64)).class_names == [
        "sky",
        "grass",
        "cat",
    ]
