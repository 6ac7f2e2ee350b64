"""The selection as the page's address. A link to an example photo opens the same view again."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import gradio as gr

from ecenet.app.error_toasts import show_errors
from ecenet.app.sidebar.photos import example_photos
from ecenet.app.state.events import EACH, MODEL_QUEUE, Subscription, event_data
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Session, add_photo

SHOW_ADDRESS = "watch('value', () => history.replaceState(null, '', props.value || location.pathname));"


def build(
    session: gr.State, selection: gr.State, tab: gr.State, *, tabs: gr.Tabs, app: gr.Blocks, registry: ModelRegistry
) -> Subscription:
    """Open the link that the page was loaded with. Returns the subscription that updates the address.

    Args:
        tab: state with the id of the tab that is shown; it is updated here.
    """
    address = gr.HTML("", html_template="", js_on_load=SHOW_ADDRESS, visible="hidden", elem_id="address")

    known = {one.id for one in tabs.children if isinstance(one, gr.Tab)}

    @show_errors
    def open_page(session: Session, selection: Selection, request: gr.Request) -> Any:
        link = dict(request.query_params)
        opened, view = open_link(session, selection, link, registry=registry)
        wanted = link.get("tab")
        # Gradio reports no `select` for a tab that the server selects.
        return opened, view, *((gr.Tabs(selected=wanted), wanted) if wanted in known else (gr.skip(), gr.skip()))

    def remember(event: gr.EventData) -> str:
        return tab_id(str(event_data(event).get("value")))

    app.load(open_page, [session, selection], [session, selection, tabs, tab], **MODEL_QUEUE)
    view = Subscription(address_of, [session, selection, tab], [address])
    tabs.select(remember, None, tab, **EACH)
    view.after(tab.change)
    return view


def tab_id(label: str) -> str:
    """Return the id of a tab: `Class embeddings` → `class-embeddings`."""
    return label.lower().replace(" ", "-")


def open_link(
    session: Session, selection: Selection, link: Mapping[str, str], *, registry: ModelRegistry
) -> tuple[Session, Selection]:
    """Add the example photo of a link and select its stage, class and pixel. Unknown names are ignored, since links may
    be wrong or outdated.

    Raises:
        UserError: the example cannot be read.
    """
    path = next((path for path, caption in example_photos() if caption == link.get("photo")), None)
    if path is None:
        return session, selection
    session = add_photo(session, path, predictor=registry.open(session.model), example=link["photo"])
    numbers = re.fullmatch(r"(\d{1,5}),(\d{1,5})", link.get("pixel", ""))
    named = session.selection_of(
        photo=len(session.photos) - 1,
        stage=link.get("stage"),
        class_name=link.get("class"),
        pixel=[int(number) for number in numbers.groups()] if numbers else None,
    )
    return session, replace(named, revision=selection.revision + 1)


def address_of(session: Session, selection: Selection, tab: str) -> str:
    """Return the query that opens the view again, or "" for a photo of the visitor."""
    photo = session.photo(selection)
    caption = photo.example if photo is not None else None
    if caption is None:
        return ""
    parts = {"photo": caption, "stage": session.stage(selection)}
    if selection.class_name is not None:
        parts["class"] = selection.class_name
    if selection.pixel is not None:
        parts["pixel"] = "{},{}".format(*selection.pixel)
    return "?" + urlencode({**parts, "tab": tab}, safe=",")
