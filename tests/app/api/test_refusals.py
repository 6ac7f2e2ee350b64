"""What the API refuses, in one sentence without a server's path: files that nobody uploaded, weights that are not on
the list, arguments that make no sense. And MCP, where it is installed."""

import asyncio
import base64
import importlib.util
import json
from typing import Any

import httpx
import pytest

from ecenet.app.server.options import Options
from ecenet.app.start import serve_app
from ecenet.app.state.limits import Limits
from ecenet.app.uploads.files import NOT_UPLOADED
from ecenet.inference import weights
from tests.support.refusals import assert_names
from tests.support.web.serving import FILE, Served

NAMES = ["consistency", "embed", "faithfulness", "match", "segment", "similarity", "what_if"]


def error_of(api: Served, endpoint: str, *, named: bool = True, **body: Any) -> str:
    """The sentence that a refused call gets."""
    answer = api.call(endpoint, named=named, **body)
    if answer.status_code == 422:
        return str(answer.json()["detail"])
    assert "event: error" in answer.text, answer.text
    sentence = json.loads(answer.text.split("data: ")[1])["error"]
    assert str(weights.WEIGHTS_DIR.parent) not in sentence
    return str(sentence)


def upload(api: Served, name: str, content: bytes | None = None) -> dict[str, Any]:
    """The file as clients name it after they have uploaded it."""
    content = (api.folder / name).read_bytes() if content is None else content
    paths = httpx.post(f"{api.address}/gradio_api/upload", files={"files": (name, content)}, timeout=60).json()
    return {"path": paths[0], **FILE}


@pytest.fixture(scope="module")
def photo(api: Served) -> dict[str, Any]:
    return upload(api, "photo.jpg")


def test_no_path_of_the_server_is_opened(api: Served, photo: dict[str, Any]) -> None:
    cache = photo["path"].rsplit("/", 2)[0]
    for path in (
        "/etc/passwd",
        "../../../../etc/passwd",
        "file:///etc/passwd",
        f"{cache}/../../../etc/passwd",
        str(weights.WEIGHTS_DIR / "everyday" / "config.json"),
        "app.py",
    ):
        assert error_of(api, "segment", photo={"path": path, **FILE}) == NOT_UPLOADED
    for path in ("/etc/passwd", f"{cache}/../../../etc/passwd", cache):  # which Gradio does not look at
        assert error_of(api, "segment", photo={"path": path}) == NOT_UPLOADED


def test_nor_in_any_other_place_of_a_request(api: Served, photo: dict[str, Any]) -> None:
    forged = {"path": "/etc/passwd"}
    for mark in (FILE, {}):
        assert error_of(api, "embed", photos=[photo, forged | mark]) == NOT_UPLOADED
    for arguments in (
        {"truth": forged},
        {"painted_classes": [forged]},
        {"examples": [{"region": forged}]},
        {"examples": [{"region": photo, "photo": forged}]},
        {"edits": [{"stage": "ece", "action": "replace", "label_map": forged}]},
        {"transplant": {"photo": forged, "class_name": "cat"}},
    ):
        assert error_of(api, "what_if", photo=photo, **arguments) == NOT_UPLOADED


def test_texts_and_addresses_of_private_networks_are_no_files(api: Served) -> None:
    for text in ("/etc/passwd", "file:///etc/passwd"):
        assert_names(error_of(api, "segment", photo=text), "uploaded", repr(text))
    for host in (api.address, "data:image/png;base64,x"):
        assert_names(error_of(api, "segment", photo=host), "downloaded", repr(host))
    assert_names(error_of(api, "segment", photo={"path": api.address, **FILE}), "downloaded", repr(api.address))
    assert error_of(api, "segment", photo={"path": "x", "meta": 3}) == NOT_UPLOADED


def test_only_weights_of_the_list_are_opened(
    api: Served, photo: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_download(*args: object, **options: object) -> None:
        raise AssertionError("nothing may be fetched for a visitor")

    monkeypatch.setattr(weights, "snapshot_download", no_download)
    for name in ("../everyday", "/etc", "owner/name", "run:../x", ""):
        assert_names(error_of(api, "segment", photo=photo, weights=name), "camvid, everyday", repr(name))


def test_uploads_have_the_page_s_limits(api: Served, photo: dict[str, Any]) -> None:
    assert api.client.config["max_file_size"] == Limits().bytes
    # Text in place of a file is no upload that Gradio counts.
    large = "data:image/png;base64," + base64.b64encode(bytes(Limits().bytes + 1)).decode()
    assert_names(error_of(api, "segment", photo=large), "32 MB")
    note = upload(api, "note.jpg", b"no picture")
    assert_names(error_of(api, "segment", photo=note), "image", "note.jpg")
    assert_names(error_of(api, "embed", photos=[photo] * 21), "1 … 20 photos", 21)
    assert_names(error_of(api, "embed", photos=[]), "1 … 20 photos", 0)


@pytest.mark.parametrize(
    ("endpoint", "arguments", "named"),
    [
        ("segment", {"stage": "stage9"}, ("ece, stage4", "stage9")),
        ("similarity", {"class_name": "zebra"}, ("aeroplane, bicycle", "'zebra'")),
        ("faithfulness", {"class_name": "tv monitor"}, ("final mask", "tv monitor")),
        ("what_if", {"gate": "half"}, ("gate", "number", "'half'")),
        ("what_if", {"gate": 2}, ("gate", "0 … 1")),
        ("what_if", {"pooling": "max"}, ("pooling", "'mean', 'pyramid', 'prototypes'", "'max'")),
        ("what_if", {"without": ["zebra"]}, ("exclude", "'zebra'")),
        ("what_if", {"attention_off": ["ece"]}, ("attention", "ece")),
        ("what_if", {"edits": [{"stage": "ece"}]}, ("edits.0.action",)),
        ("what_if", {"edits": [{"stage": "ece", "action": "burn"}]}, ("edits.0.action", "'paint'", "'burn'")),
        ("what_if", {"edits": [{"stage": "ece", "action": "swap"}]}, ("class_name", "swap")),
        ("what_if", {"edits": [{"stage": "ece", "action": "erase", "klass": 1}]}, ("edits.0.klass",)),
        (
            "what_if",
            {"edits": [{"stage": "final", "action": "erase", "class_name": "cat"}]},
            ("ece, stage4", "'final'"),
        ),
        ("what_if", {"examples": [{}]}, ("examples.0.region",)),
        ("what_if", {"edits": [{"stage": "ece", "action": "swap"}] * 21}, ("20 edits", 21)),
    ],
)
def test_arguments_that_make_no_sense(
    api: Served, photo: dict[str, Any], endpoint: str, arguments: dict[str, Any], named: tuple[object, ...]
) -> None:
    assert_names(error_of(api, endpoint, photo=photo, **arguments), *named)


def test_files_of_another_kind(api: Served, photo: dict[str, Any]) -> None:
    region, other = upload(api, "region.png"), upload(api, "other.jpg")
    for arguments, named in (
        ({"truth": photo}, ("photo.jpg", "class indices")),
        ({"examples": [{"region": other}]}, ("451×300", "other.jpg", "512×512")),
        ({"painted_classes": [photo]}, ("class", "photo.jpg")),
        ({"examples": [{"region": region}], "class_name": "cat"}, ("name", "'cat'")),
        ({"examples": [{"region": region}], "class_name": " "}, ("name", "class")),
    ):
        assert_names(error_of(api, "what_if", photo=photo, **arguments), *named)


def test_calls_that_gradio_itself_cannot_follow(api: Served, photo: dict[str, Any]) -> None:
    bodies: tuple[tuple[str, dict[str, Any]], ...] = (
        ("segment", {}),
        ("segment", {"photo": photo, "color": 1}),
        ("nothing", {}),
    )
    for endpoint, body in bodies:
        assert_names(error_of(api, endpoint, **body), "endpoint", "API page")
    assert_names(error_of(api, "nothing", named=False, data=[]), "endpoint", "API page")
    assert_names(error_of(api, "segment", named=False, data=[]), "uploaded", "arguments", "API page")


def test_without_its_extra_mcp_is_refused_before_anything_is_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as ended:
        serve_app(Options(mcp=True))
    assert ended.value.code == 2
    assert "pip install 'gradio[mcp]'" in capsys.readouterr().err


def test_mcp_clients_find_and_call_the_same_endpoints(api: Served) -> None:
    mcp = pytest.importorskip("mcp", reason="needs gradio[mcp]")
    from mcp.client.streamable_http import streamablehttp_client

    async def talk() -> tuple[list[Any], Any, Any]:
        address = f"{api.address}/gradio_api/mcp/"
        async with streamablehttp_client(address) as (read, write, _), mcp.ClientSession(read, write) as session:
            await session.initialize()
            tools = (await session.list_tools()).tools
            photo, region = (as_text(api, name) for name in ("photo.jpg", "region.png"))
            arguments = {"photo": photo, "examples": [{"region": region}], "class_name": "forehead"}
            painted = await session.call_tool("what_if", arguments)
            return tools, painted, await session.call_tool("segment", {"photo": photo, "weights": "x"})

    tools, painted, refused = asyncio.run(talk())
    assert sorted(tool.name for tool in tools) == NAMES
    schemas = {tool.name: tool.inputSchema for tool in tools}
    assert schemas["segment"]["required"] == ["photo"]
    assert schemas["what_if"]["properties"]["pooling"]["enum"] == ["mean", "pyramid", "prototypes", "backbone"]
    for tool in tools:
        assert all(one["description"] for one in tool.inputSchema["properties"].values())
    assert not painted.isError
    assert "'forehead'" in painted.content[0].text
    assert refused.isError
    assert_names(refused.content[0].text, "camvid, everyday", "'x'")


def as_text(api: Served, name: str) -> str:
    return "data:image/png;base64," + base64.b64encode((api.folder / name).read_bytes()).decode()
