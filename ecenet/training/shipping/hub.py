"""Upload checkpoints to the Hugging Face Hub, each to its own repository so that downloads are counted."""

from pathlib import Path

from huggingface_hub import create_repo, upload_folder
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

from ecenet.common.errors import UserError
from ecenet.model.tensor_files import HUB_PATTERNS

PUSHED = (*HUB_PATTERNS, "README.md")


def push_checkpoint(folder: Path, repo: str, *, private: bool = False) -> str:
    """Upload a checkpoint with its model card and, if present, its bank and warning file.

    Args:
        folder: folder of the checkpoint, as written by `ship`.
        repo: "owner/name"; it is created if it does not exist.
        private: create a private repository. The visibility of an existing repository is not changed.
    Returns: the URL of the repository.
    Raises:
        UserError: not logged in, invalid name of a repository, or the Hub cannot be reached.
    """
    try:
        address = create_repo(repo, private=private, exist_ok=True)
        upload_folder(
            repo_id=repo, folder_path=folder, allow_patterns=list(PUSHED), commit_message=f"Checkpoint {folder.name}"
        )
    except HFValidationError as error:
        raise UserError(
            "invalid-value", f"Expected a repository such as owner/name to push to, got {repo!r}; correct it."
        ) from error
    except LocalTokenNotFoundError as error:
        raise UserError(
            "hub-refused",
            "Expected to be logged in to the Hugging Face Hub, but there is no token; run `hf auth login`.",
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise UserError(
            "hub-refused",
            f"Expected to push to {repo} on the Hugging Face Hub, but it failed ({type(error).__name__}). "
            f"The checkpoint is complete in {folder}; check the network and the rights of your token, and push again.",
        ) from error
    return str(address)
