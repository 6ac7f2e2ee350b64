"""Small pictures to click on."""

import re

from PIL import Image

from ecenet.app.widgets import thumbnails
from ecenet.app.widgets.thumbnails import Thumbnail

PICTURES = [
    Thumbnail.of(Image.new("RGB", size), caption=caption)
    for size, caption in (((400, 100), "wide"), ((30, 50), "<small>"))
]


def test_each_picture_is_a_button_of_its_own() -> None:
    page = thumbnails.render(PICTURES, label="Yours", pressed=1)
    assert re.findall(r'data-index="(\d)" aria-pressed="(\w+)"', page) == [("0", "false"), ("1", "true")]
    assert re.findall("<span>(.*?)</span>", page) == ["wide", "&lt;small&gt;"]


def test_what_does_something_at_once_is_no_switch() -> None:
    assert "aria-pressed" not in thumbnails.render(PICTURES, label="Examples")
