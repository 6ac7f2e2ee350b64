"""Training's first steps with explicit class embeddings: learned vectors stand in for them, and fade. Ours."""

import torch
from torch import Tensor, nn

from ecenet.config import TrainConfig
from ecenet.model.network import Network


class StandIn(nn.Module):
    """K learned vectors that are added to E_0, ever less, until masks tell classes apart.

    The first coarse masks are noise. What is pooled under them is the same for every class, and stages that cannot tell
    classes apart learn next to nothing from their masks. Weights that are saved hold nothing of this.

    Args:
        steps: after so many, nothing is left of the vectors.
    """

    def __init__(self, *, num_classes: int, embed_dim: int, steps: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(num_classes, embed_dim))
        self.steps = steps

    def forward(self, step: int) -> Tensor | None:
        """(K, D) to add at a step, counted from 0; None once they are gone."""
        return self.vectors * (1 - step / self.steps) if step < self.steps else None


def make_stand_in(config: TrainConfig, model: Network) -> StandIn:
    """Of no steps where nothing needs it: embeddings are learned vectors anyway, or come with weights to start from."""
    needed = model.explicit and config.start_from is None
    vectors = StandIn(
        num_classes=model.num_classes, embed_dim=model.embed_dim, steps=config.fade_steps if needed else 0
    )
    return vectors.to(next(model.parameters()).device)
