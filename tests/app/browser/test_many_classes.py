"""A checkpoint of many classes in a real browser: names on the picture, the legend's search, what is unsure."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from ecenet.app.static_files import read_static
from ecenet.data.usual_colors import USUAL_COLORS
from ecenet.inference.weights import save_model
from tests.support.helpers import small_model
from tests.support.web.browsing import ARTIFACTS, LONG, PHOTOS, opened_page, served_app, upload

pytestmark = pytest.mark.browser

NAMES = [name for name in USUAL_COLORS if name != "background"]
PLACES = """([labels, width, box]) => {
  const found = connectedRegions(Uint8Array.from(labels), width);
  found.steps = depths(found.numbers, width);
  return namePlaces(found, width, () => box).map(({label, x, y}) => [label, x, y]);
}"""
BOXES = """() => [...document.querySelectorAll('.ece-names span')].map((span) => {
  const {left, top, right, bottom} = span.getBoundingClientRect();
  const photo = document.querySelector('.ece-photo').getBoundingClientRect();
  return [span.textContent, left - photo.left, top - photo.top, right - photo.right, bottom - photo.bottom, left, top,
    right, bottom];
})"""


@pytest.fixture(scope="module")
def busy_page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page of weights whose random answers are of some fifteen classes in one photo, and most of them unsure."""
    folder = tmp_path_factory.mktemp("many")
    model = small_model(class_names=NAMES, seed=3, image_size=128)
    model.unsure_below = 0.25
    save_model(model, folder / "weights")
    with (
        served_app(folder / "runs", "--weights", str(folder / "weights")) as address,
        opened_page(browser, address) as page,
    ):
        upload(page, PHOTOS / "chelsea.png")
        expect(page.locator("#segment-view .ece-names span").first).to_be_attached(timeout=LONG)
        yield page


def places(page: Page, labels: list[list[int]], box: tuple[float, float]) -> list[Any]:
    flat = [label for row in labels for label in row]
    found: list[Any] = page.evaluate(PLACES, [flat, len(labels[0]), box])
    return found


def test_a_name_lies_deepest_inside_of_its_region_and_small_regions_have_none(browser: Browser) -> None:
    page = browser.new_page()
    page.add_script_tag(content=read_static("segment/region_names.js"))
    wall = [[0] * 12 for _ in range(7)]
    assert places(page, wall, (5, 3)) == [[0, 5, 3]]
    assert places(page, wall, (13, 3)) == [], "wider than the photo"
    halves = [[1] * 6 + [2] * 6 for _ in range(7)]
    assert sorted(places(page, halves, (4, 3))) == [[1, 2, 2], [2, 8, 2]], "of equal places the topmost"
    assert places(page, halves, (7, 3)) == [], "a name may not lie on another class"
    twice = [[1] * 4 + [0] * 4 + [1] * 4 for _ in range(7)]
    assert [label for label, _, _ in places(page, twice, (3, 3))] == [1, 0, 1], "each region has its own"
    page.close()


def test_many_classes_can_be_read_found_and_doubted(busy_page: Page) -> None:
    page = busy_page
    expect(page.locator("#segment-view .ece-sentence")).to_contain_text("of this photo, which may show none of the")
    legend = page.locator("#segment-view .ece-legend:visible")
    rows = legend.locator("tbody tr")
    names = [text.strip() for text in rows.locator("td:first-child").all_inner_texts()]
    areas = [float(text.removesuffix("%")) for text in rows.locator("td:nth-child(2)").all_inner_texts()]
    assert len(names) > 12
    assert areas == sorted(areas, reverse=True)

    # Names lie on the picture, apart from each other, until they are switched off.
    boxes = page.evaluate(BOXES)
    assert boxes
    for name, left, top, right, bottom, *_ in boxes:
        assert name in names
        assert left >= 0
        assert top >= 0
        assert right <= 0
        assert bottom <= 0
    sides = [box[5:] for box in boxes]
    for i, one in enumerate(sides):
        for other in sides[:i]:
            apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            assert apart, (one, other)
    page.screenshot(path=ARTIFACTS / "many-classes.png", full_page=True)
    page.locator("#mask-names input").uncheck()
    expect(page.locator("#segment-view .ece-names span")).to_have_count(0)
    page.locator("#mask-names input").check()

    # The hatching lies on what the legend calls unsure.
    hatch = page.locator("#segment-view .ece-hatch")
    covered = hatch.evaluate(
        "canvas => { const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);"
        " let n = 0; for (let i = 3; i < data.length; i += 4) n += data[i] > 0; return 4 * n / data.length; }"
    )
    told = legend.locator("tr[data-doubtful] td").nth(1).inner_text()
    assert 100 * covered == pytest.approx(float(told.removesuffix("%")), abs=1)
    page.locator("#mask-unsure input").uncheck()
    expect(hatch).to_have_attribute("width", "1")

    # On the keyboard: a search leaves one class, which stands out; a press on its name keeps it.
    search = page.get_by_label("Find a class in the legend")
    search.fill(names[2])
    expect(legend.locator("tbody tr:visible").first).to_contain_text(names[2])
    assert all(names[2] in text for text in legend.locator("tbody tr:visible").all_inner_texts())
    search.fill("no such class")
    expect(page.locator("#segment-view .ece-none")).to_be_visible()
    search.fill("")
    expect(rows.locator("visible=true")).to_have_count(len(names))
    lines = page.locator("#segment-view .ece-lines")
    expect(lines).to_have_attribute("width", "1")
    button = rows.nth(1).get_by_role("button")
    button.focus()
    page.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-pressed", "true")
    page.mouse.move(5, 5)
    expect(lines).to_have_attribute("width", "451")
    page.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-pressed", "false")

    page.locator("#segment-view .ece-photo").click()
    expect(page.locator("#segment-view .ece-tip")).to_contain_text("unsure: best guess")
    page.get_by_role("tab", name="Similarity").click()
    chosen = page.locator("#class-picker input")
    expect(chosen).to_have_value(names[0], timeout=LONG)
    chosen.click()
    options = page.get_by_role("option")
    offered = [text.strip().removeprefix("✓").strip() for text in options.all_inner_texts()]
    assert offered[: len(names)] == names
    assert sorted(offered) == sorted(NAMES)
    chosen.press_sequentially("motor")
    expect(options).to_have_count(1)
    page.keyboard.press("Escape")


def test_a_phone_has_room_for_it(busy_page: Page) -> None:
    page = busy_page
    page.get_by_role("tab", name="Segment").click()
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator("#segment-view .ece-photo")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing may stick out sideways"
    for switch in ("names", "unsure", "boundaries"):
        label = page.locator(f"#mask-{switch} .label-text")
        box = label.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 390
        assert label.evaluate("label => label.closest('.block').scrollWidth <= label.closest('.block').clientWidth")
    for _, left, _, right, *_ in page.evaluate(BOXES):
        assert left >= 0
        assert right <= 0
    row = page.locator("#segment-view .ece-legend:visible tbody tr").first
    button = row.get_by_role("button")
    if button.get_attribute("aria-pressed") == "false":  # an earlier test may have left it chosen
        button.click()
    expect(page.locator("#segment-view .ece-lines")).to_have_attribute("width", "451")
    page.screenshot(path=ARTIFACTS / "many-classes-phone.png", full_page=True)
