"""The map's script on a page of its own, without a server: what it is given and what it would send are lists."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page

from ecenet.app.static_files import read_static
from ecenet.app.tabs.embeddings.tab import MAP_JS, PLACES, PLOTLY_JS

RUN = """([script, value, props]) => {
  const element = document.querySelector('#embedding-plot');
  const watchers = {};
  window.props = { value, ring: null, stage: null, ...props };
  window.sent = [];
  window.set = (name, value) => {
    window.props[name] = value;
    (watchers[name] ?? []).forEach((follow) => follow());
  };
  const trigger = (event, data) => window.sent.push([event, data]);
  const watch = (name, follow) => (watchers[name] ??= []).push(follow);
  new Function('element', 'props', 'trigger', 'watch', script)(element, window.props, trigger, watch);
}"""


@contextmanager
def map_page(browser: Browser, value: str, *, width: int = 1000, **props: Any) -> Iterator[Page]:
    """A page that shows the map of `map_value`; no script on it may fail.

    `sent` holds what would reach the server, `set(name, value)` changes a prop.
    """
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.set_content(
        f'<!doctype html><html lang="en"><title>Map</title><style>{read_static("app.css")}</style>'
        f'<main><h1>Map</h1><div id="embedding-plot">{PLACES}</div></main></html>'
    )
    page.add_script_tag(path=PLOTLY_JS)
    page.evaluate(RUN, ["".join(script.read_text() for script in MAP_JS), value, props])
    yield page
    context.close()
    assert not errors, errors


def sent(page: Page) -> list[tuple[str, Any]]:
    """Events and their data, in order."""
    return [(event, data) for event, data in json.loads(page.evaluate("JSON.stringify(window.sent)"))]
