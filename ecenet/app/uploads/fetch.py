"""Files that a client names by their address: fetched from public machines only, and never more than an upload may be.

Gradio's own download looks at where an address leads just as well, but takes whatever comes into memory.
"""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import safehttpx
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder
from gradio_client.utils import (
    async_traverse,
    is_file_obj_with_meta,
    is_http_url_like,
    strip_invalid_filename_characters,
)

from ecenet.common.errors import UserError

SECONDS = 60
"""That a download may take."""


async def fetch(address: str, *, limit: int) -> str:
    """The file at an http or https address, in Gradio's cache. Redirects are not followed.

    Args:
        limit: bytes.
    Raises:
        UserError: it is of this machine or of a private network, does not answer well, or is too large.
    """
    try:
        content = await asyncio.wait_for(_content(address, limit=limit), SECONDS)
        name = strip_invalid_filename_characters(Path(unquote(httpx.URL(address).path)).name) or "file"
    except UserError:
        raise
    except Exception as error:  # whatever the network or the other server may raise
        raise UserError(
            "download-failed",
            f"Expected a file that can be downloaded, but {address[:80]!r} cannot be; upload it instead.",
        ) from error
    return save_bytes_to_cache(content, name, get_upload_folder())


async def _content(address: str, *, limit: int) -> bytes:
    # To the very machine that was looked at: a name's second answer may be another one.
    transport = safehttpx.AsyncSecureTransport(await safehttpx.async_validate_url(httpx.URL(address).host))
    content = bytearray()
    plain = {"Accept-Encoding": "identity"}  # what is packed could be far larger once unpacked
    async with httpx.AsyncClient(transport=transport, headers=plain) as client, client.stream("GET", address) as answer:
        if answer.status_code != httpx.codes.OK:
            raise ConnectionError(f"status {answer.status_code}")
        async for chunk in answer.aiter_raw():
            content += chunk
            if len(content) > limit:
                raise UserError(
                    "file-too-large",
                    f"Expected files of at most {limit >> 20} MB, but {address[:80]!r} has more; "
                    "make it smaller first.",
                    limit=limit,
                )
    return bytes(content)


async def fetch_all(data: Any, *, limit: int) -> Any:
    """What a client sent, with local files in the place of those that it named by their addresses.

    Args:
        data: of JSON; files are marked as Gradio does it.
        limit: bytes of each.
    Raises:
        UserError: as for `fetch`.
    """

    async def fetched(file: dict[str, Any]) -> dict[str, Any]:
        return {**file, "path": await fetch(file["path"], limit=limit)}

    return await async_traverse(data, fetched, lambda one: is_file_obj_with_meta(one) and is_http_url_like(one["path"]))
