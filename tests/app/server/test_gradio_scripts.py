"""What the page's scripts rely on in Gradio's and Plotly's own scripts."""

import inspect
import re
from functools import cache
from pathlib import Path

import gradio as gr
import plotly
import pytest
from gradio import routes
from gradio.blocks import postprocess_update_dict

from ecenet.app.static_files import STATIC, read_static

FRONTEND = Path(gr.__file__).parent / "templates" / "frontend" / "assets"


@cache
def page_scripts() -> list[str]:
    return [path.read_text(encoding="utf-8") for path in FRONTEND.glob("*.js")]


def in_scripts(text: str) -> bool:
    """Whether the scripts of Gradio's page hold a text."""
    return any(text in script for script in page_scripts())


def test_the_page_has_a_sentence_for_a_full_queue() -> None:
    """Otherwise it would not show the sentence of an error, and would have one of its own for a full queue."""
    assert in_scripts("This application is currently busy. Please try again. "), "see VisitorQueue.push"


def test_a_prop_of_html_is_sent_as_an_update_of_props() -> None:
    where = "see ecenet/app/widgets/props.py"
    html = gr.HTML("", region="", render=False)
    assert postprocess_update_dict(html, {"region": "data:,"}) == {
        "props": {"region": "data:,"},
        "__type__": "update",
    }, where
    quoted = gr.HTML("", js_on_load="trigger('stroke')", render=False)
    assert hasattr(quoted, "stroke"), where
    assert not hasattr(quoted, "region"), where


@pytest.mark.parametrize("script", ["segment/segment.js", "canvas.js", "map/map.js"])
def test_no_script_quotes_the_name_of_a_prop_that_the_server_sends(script: str) -> None:
    html = gr.HTML("", js_on_load=read_static(script), render=False)
    for name in ("region", "ring"):
        assert not hasattr(html, name), f"{script} quotes {name!r}: gr.HTML would take it for an event"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Function(`element`,`trigger`,`props`,`server`,`upload`,`watch`", "scripts of gr.HTML use these names"),
        ("`__type__`in e&&e?.__type__===`update`", "send_props sets props by an update (ecenet/app/widgets/props.py)"),
        ("queue/data", "stream.js joins streams of this address"),
        ("queue/join", "stream.js counts events that are sent to this address"),
        ("s.msg===`close_stream`", "stream.js holds this message back while answers are due"),
        ("s.msg===`process_completed`", "stream.js takes this message for an event's answer"),
        ("let n=new Request(e,t);bt(n.headers,`Accept`,`text/event-stream`)", "stream.js is given a Request"),
        ("r=await fetch(n);if(!r.ok)throw r", "stream.js replaces window.fetch, which reads the stream of answers"),
        (",fetch(e,{...t,headers:n})}", "stream.js replaces window.fetch, which sends events"),
    ],
)
def test_the_page_has_what_our_scripts_rely_on(text: str, why: str) -> None:
    assert in_scripts(text), f"Gradio's page no longer contains {text!r}: {why}"


def test_the_server_ends_a_stream_as_stream_js_expects() -> None:
    source = inspect.getsource(routes.App.create_app)
    for text in ("CloseStreamMessage", '{"event_id": event_id}'):
        assert text in source, f"see ecenet/app/static/page/stream.js: no {text} in Gradio's routes"


def test_plotly_has_the_parts_that_a_map_is_moved_by() -> None:
    script = (Path(plotly.__file__).parent / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
    named = set(re.findall(r"'\.([\w-]+)|, \.([\w-]+)", (STATIC / "map" / "moves.js").read_text(encoding="utf-8")))
    parts = {one or other for one, other in named}
    assert parts == {"nsewdrag", "gl-container", "annotation", "cartesianlayer", "hoverlayer", "selectionlayer"}
    for part in parts:
        assert part in script, f"Plotly has no .{part} any more: see ecenet/app/static/map/moves.js"
