"""A real browser and the app of one's own machine: another site's requests, and names that would like to be scripts."""

import io
import json
import zipfile
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.support.helpers import encode, noise_image
from tests.support.web.browsing import upload

pytestmark = pytest.mark.browser
SCRIPT = """<img src=x onerror="window.hacked=1">${window.hacked=2}{{window.hacked=3}}"""


def test_another_sites_page_cannot_start_trainings_here(address: str) -> None:
    body = json.dumps({"data": [], "fn_index": 0, "session_hash": "x"})
    join = f"{address}/gradio_api/queue/join"
    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example", "Origin": "http://evil.example"}):
        for kind in ("text/plain", "application/json"):
            answer = httpx.post(join, content=body, headers={**headers, "Content-Type": kind}, timeout=60)
            assert answer.status_code == 403
            assert answer.json()["detail"]
    assert httpx.get(address, headers={"Host": "evil.example"}, timeout=60).status_code == 403
    assert httpx.get(address, timeout=60).status_code == 200


def test_names_out_of_a_strangers_file_stay_text(page: Page, tmp_path: Path) -> None:
    """In the tabs, in the map and in messages."""
    saved = io.BytesIO()
    view = {"format": 1, "model": "weights:everyday", "photos": [{"name": SCRIPT, "file": "a.png"}]}
    with zipfile.ZipFile(saved, "w") as bundle:
        bundle.writestr("a.png", encode(noise_image(97, 61), "PNG"))
        bundle.writestr("view.json", json.dumps(view))
    (tmp_path / "saved.zip").write_bytes(saved.getvalue())
    open_saved(page, tmp_path / "saved.zip")
    expect(page.locator(".ece-side .ece-note:visible")).to_contain_text("onerror")
    for tab, shown in (("Compare", "#photo-grid .ece-card"), ("Class embeddings", "#neighbors .ece-point")):
        page.get_by_role("tab", name=tab, exact=True).click()
        expect(page.locator(shown).first).to_contain_text("onerror")
    with zipfile.ZipFile(tmp_path / "saved.zip", "w") as bundle:
        bundle.writestr("view.json", json.dumps(view | {"model": SCRIPT}))
    open_saved(page, tmp_path / "saved.zip")
    expect(page.get_by_test_id("toast-body").filter(has_text="saved.zip")).to_be_visible()
    upload(page, _named(tmp_path, "<img src=y onerror=window.hacked=4>.png"))
    expect(page.get_by_test_id("toast-body").last).to_contain_text("onerror")
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src='x'], img[src='y']").count() == 0


def open_saved(page: Page, path: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.locator("#open-session").click()
    chooser.value.set_files(path)


def _named(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(b"no picture")
    return path
