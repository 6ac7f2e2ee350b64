"""What the tests of several commands share."""

import pytest

from ecenet.inference.weights import save_model
from tests.support.helpers import small_model


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a small model."""
    folder = tmp_path_factory.mktemp("weights")
    save_model(small_model(), folder)
    return str(folder)
