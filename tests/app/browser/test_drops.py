"""Photos dropped as people drop them: anywhere, several, in folders, good and bad. Nothing is lost, the page stays."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.helpers import encode, noise_image
from tests.support.web.browsing import free_port, opened_page, served_app, upload

pytestmark = pytest.mark.browser

OWN_PHOTOS = "#session-photos button"
BESIDE = "h1"
"""Something that takes no files."""


@pytest.fixture(scope="module")
def small_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of an app that takes up to four photos of 1 MB."""
    with served_app(tmp_path_factory.mktemp("runs"), "--max-photos", "4", "--max-megabytes", "1") as address:
        yield address


@pytest.fixture
def page(browser: Browser, small_address: str) -> Iterator[Page]:
    with opened_page(browser, small_address) as page:
        yield page


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with good photos, a bad one, a text, one that is too large, and a folder of two more."""
    for seed, name in enumerate(("a.png", "b.png", "c.png", "d.png", "e.png")):
        noise_image(60, 40, seed=seed).save(tmp_path / name)
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    (tmp_path / "large.png").write_bytes(encode(noise_image(60, 40), "PNG") + bytes(2 << 20))
    (tmp_path / "trip" / "day").mkdir(parents=True)
    noise_image(60, 40, seed=7).save(tmp_path / "trip" / "x.png")
    noise_image(60, 40, seed=8).save(tmp_path / "trip" / "day" / "y.png")
    (tmp_path / "trip" / "notes.txt").write_text("words")
    return tmp_path


def drag(page: Page, selector: str, paths: Sequence[Path], *, until: str = "drop") -> None:
    """As a file manager does it: the browser itself decides what becomes of what nobody takes."""
    page.locator(selector).first.scroll_into_view_if_needed()
    box = page.locator(selector).first.bounding_box()
    assert box is not None
    session = page.context.new_cdp_session(page)
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    kinds = ["dragEnter", "dragOver", "drop"]
    for kind in kinds[: kinds.index(until) + 1]:
        session.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})


def expect_photos(page: Page, *names: str) -> None:
    expect(page.locator(OWN_PHOTOS)).to_have_count(len(names))
    for name in names:
        expect(page.locator("#session-photos")).to_contain_text(name)


def test_a_bad_file_then_a_good_one_then_a_folder_and_nothing_is_lost(page: Page, photos: Path) -> None:
    address = page.url
    upload(page, photos / "bad.jpg")
    expect(page.locator(".toast-body")).to_contain_text("bad.jpg")
    drag(page, "#photo-input", [photos / "a.png"])
    expect_photos(page, "a")
    drag(page, BESIDE, [photos / "trip"])
    expect_photos(page, "a", "x", "y")
    assert page.url.split("?")[0] == address.split("?")[0]


def test_drops_anywhere_add_all_photos_that_they_hold(page: Page, photos: Path) -> None:
    drag(page, "#several-photos", [photos / "a.png", photos / "b.png"])
    expect_photos(page, "a", "b")
    drag(page, "#segment-view", [photos / "c.png"])
    expect_photos(page, "a", "b", "c")


def test_where_photos_will_go_is_shown(page: Page, photos: Path) -> None:
    drag(page, BESIDE, [photos / "a.png"], until="dragOver")
    expect(page.locator("#photo-input.ece-drop-target")).to_be_visible()
    drag(page, BESIDE, [photos / "a.png"])
    expect(page.locator(".ece-drop-target")).to_have_count(0)
    expect_photos(page, "a")


def test_a_file_that_is_too_large_does_not_keep_the_others_out(page: Page, photos: Path) -> None:
    drag(page, "#photo-input", [photos / "large.png", photos / "a.png"])
    expect(page.locator("#drop-note")).to_contain_text("large.png")
    expect_photos(page, "a")
    page.set_input_files(
        'input[data-testid="Add several photos-upload-button"]', [photos / "b.png", photos / "large.png"]
    )
    expect_photos(page, "a", "b")


def test_what_does_not_fit_is_named_and_nothing_is_removed(page: Page, photos: Path) -> None:
    drag(page, BESIDE, [photos / f"{name}.png" for name in "abc"])
    expect_photos(page, "a", "b", "c")
    drag(page, BESIDE, [photos / "d.png", photos / "e.png"])
    expect(page.locator(".toast-body")).to_contain_text("e.png")
    expect_photos(page, "a", "b", "c", "d")
    page.locator(OWN_PHOTOS).nth(1).click()
    expect(page.locator(OWN_PHOTOS).nth(1)).to_have_attribute("aria-pressed", "true")
    page.locator("#remove-photo").click()
    expect_photos(page, "a", "c", "d")
    drag(page, BESIDE, [photos / "e.png"])
    expect_photos(page, "a", "c", "d", "e")


def test_files_of_no_type_that_the_browser_knows_reach_a_sentence_or_the_page(page: Page, photos: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    (photos / "IMG_1.HEIC").write_bytes(encode(noise_image(60, 40), "HEIF"))
    (photos / "nameless").write_bytes(b"words")
    drag(page, "#photo-input", [photos / "IMG_1.HEIC", photos / "nameless"])
    expect_photos(page, "IMG_1")
    expect(page.locator(".toast-body")).to_contain_text("nameless")
    expect(page.locator(".toast-body")).not_to_contain_text("allowed")


KEPT = """async () => {
  const opening = indexedDB.open('ecenet-photos', 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore('photos', {keyPath: ['tab', 'file']});
  const database = await new Promise((resolve) => { opening.onsuccess = () => resolve(opening.result); });
  const all = database.transaction('photos').objectStore('photos').getAll();
  await new Promise((resolve) => { all.onsuccess = resolve; });
  database.close();
  return all.result.map(({file}) => file.split('/').pop()).sort().join();
}"""
"""Names of the files in the browser's database."""


def wait_for_kept(page: Page, names: str) -> None:
    deadline = time.monotonic() + 60
    while (kept := page.evaluate(KEPT)) != names:
        assert time.monotonic() < deadline, f"kept {kept!r} instead of {names!r}"
        page.wait_for_timeout(200)


def test_photos_come_back_when_the_page_is_loaded_anew_and_removed_ones_do_not(page: Page, photos: Path) -> None:
    upload(page, photos / "a.png")
    expect_photos(page, "a")
    drag(page, BESIDE, [photos / "b.png"])
    expect_photos(page, "a", "b")
    wait_for_kept(page, "a.png,b.png")
    page.reload()
    expect_photos(page, "a", "b")
    expect(page.locator("#drop-note")).to_have_count(0)
    page.locator("#remove-photo").click()
    expect_photos(page, "a")
    wait_for_kept(page, "a.png")
    page.reload()
    expect_photos(page, "a")
    page.locator("#clear-photos").click()
    expect(page.locator(OWN_PHOTOS)).to_have_count(0)
    wait_for_kept(page, "")


def test_another_tab_does_not_get_them(page: Page, photos: Path, small_address: str) -> None:
    upload(page, photos / "a.png")
    expect_photos(page, "a")
    wait_for_kept(page, "a.png")
    other = page.context.new_page()
    other.goto(small_address)
    other.wait_for_selector("#keep-photos input")
    other.wait_for_timeout(3000)
    expect(other.locator(OWN_PHOTOS)).to_have_count(0)
    wait_for_kept(page, "a.png")


def test_with_keeping_switched_off_nothing_stays_and_the_page_says_what_was_lost(page: Page, photos: Path) -> None:
    upload(page, photos / "a.png")
    expect_photos(page, "a")
    wait_for_kept(page, "a.png")
    page.get_by_label("Keep my photos in this browser").uncheck()
    wait_for_kept(page, "")
    drag(page, BESIDE, [photos / "b.png"])
    expect_photos(page, "a", "b")
    page.reload()
    expect(page.locator("#drop-note")).to_contain_text("2 photos")
    expect(page.locator("#drop-note")).to_contain_text("Save all as .zip")
    expect(page.get_by_label("Keep my photos in this browser")).not_to_be_checked()
    expect(page.locator(OWN_PHOTOS)).to_have_count(0)
    wait_for_kept(page, "")


def test_after_a_restart_of_the_server_an_open_page_sends_its_photos_again(
    browser: Browser, photos: Path, tmp_path: Path
) -> None:
    port = free_port()
    with contextlib.ExitStack() as visit:
        with served_app(tmp_path / "runs", port=port) as address:
            page = visit.enter_context(opened_page(browser, address))
            upload(page, photos / "a.png")
            expect_photos(page, "a")
            wait_for_kept(page, "a.png")
        with served_app(tmp_path / "runs", port=port):
            upload(page, photos / "b.png")
            expect_photos(page, "b", "a")
            expect(page.locator("#drop-note")).to_contain_text("lost this session")
            wait_for_kept(page, "a.png,b.png")
