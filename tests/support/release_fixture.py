"""Numbers of ECENet's release: random weights, inputs and every intermediate result, of an independent
transcription."""

import os
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from ecenet.inference.convert.release_tensors import head_sizes, translate_head
from ecenet.model.release import ReleaseHead

FIXTURE = Path(
    os.environ.get("ECENET_RELEASE_FIXTURE", Path(__file__).parents[1] / "data" / "ecenet_release_small.safetensors")
)


def fixture_part(kind: str) -> dict[str, Tensor]:
    """The tensors of `weight`, `input` or `output`, by what follows that."""
    return {
        name.removeprefix(f"{kind}."): tensor
        for name, tensor in load_file(FIXTURE).items()
        if name.startswith(f"{kind}.")
    }


def fixture_head() -> ReleaseHead:
    """In evaluation mode, with the fixture's weights."""
    weights = fixture_part("weight")
    sizes = head_sizes(weights, file=FIXTURE.name)
    head = ReleaseHead(**sizes._asdict(), dropout=0.1)
    head.load_state_dict(translate_head(weights, wanted=head.state_dict(), file=FIXTURE.name))
    return head.eval()
