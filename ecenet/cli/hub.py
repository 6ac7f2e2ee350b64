"""The command `push`."""

from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True)
class Push:
    """Upload a checkpoint to the Hugging Face Hub, with its model card, bank and warning."""

    folder: tyro.conf.Positional[Path]
    """Folder of the checkpoint, as `ship` writes it."""
    repo: tyro.conf.Positional[str]
    """Repository owner/name; it is created if it does not exist."""
    private: bool = False
    """Create a private repository."""

    def run(self) -> None:
        from ecenet.inference.weights import checkpoint_files
        from ecenet.training.shipping.hub import push_checkpoint

        checkpoint_files(self.folder)
        print(push_checkpoint(self.folder, self.repo, private=self.private))
