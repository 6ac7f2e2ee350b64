"""What the endpoint `match` finds and refuses."""

import numpy as np
import pytest
from gradio_client.exceptions import AppError

from tests.support.web.serving import Served, file


def test_match_finds_a_class_embedding_and_a_box(api: Served) -> None:
    photos = [file(api, "photo.jpg"), file(api, "other.jpg")]
    by_class, _ = api.client.predict(photos, x=0, y=0, class_name="cat", api_name="/match")
    assert (by_class["level"], by_class["matches"][0]["cosine"]) == ("final", None)
    logits = api.prediction.final.mask_logits[api.prediction.class_names.index("cat")]
    assert by_class["matches"][0]["score"] == pytest.approx(logits.max(), abs=1e-3)
    np.testing.assert_allclose(np.load(by_class["arrays"])["0"], logits, atol=1e-3)

    in_box, _ = api.client.predict(photos, x=150, y=120, to_x=90, to_y=60, api_name="/match")
    own = in_box["matches"][0]
    assert 90 <= own["x"] <= 150
    assert 60 <= own["y"] <= 120
    assert (own["score"], in_box["level"]) == (None, "backbone")


def test_match_refuses_what_lies_outside_and_what_is_not_known(api: Served) -> None:
    photos = [file(api, "photo.jpg")] * 2
    with pytest.raises(AppError, match="x in 0"):
        api.client.predict(photos, x=99_999, y=0, api_name="/match")
    with pytest.raises(AppError, match="x in 0"):
        api.client.predict(photos, x=0, y=0, to_x=10, api_name="/match")
    with pytest.raises(AppError, match="zebra"):
        api.client.predict(photos, x=0, y=0, class_name="zebra", api_name="/match")
