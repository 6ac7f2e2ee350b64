"""Download of files that a client names by URL: from public hosts only, and with the size limit of uploads.

Gradio's own download checks the host as well, but reads files of any size into memory.
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
"""Time limit of a download."""


async def fetch(address: str, *, limit: int) -> str:
    """Download a file from an http or https URL into Gradio's cache and return its path. Redirects are not followed.

    Args:
        limit: largest size in bytes.
    Raises:
        UserError: the host is this machine or in a private network, the download fails, or the file is too large.
    """
    try:
        content = await asyncio.wait_for(_content(address, limit=limit), SECONDS)
        name = strip_invalid_filename_characters(Path(unquote(httpx.URL(address).path)).name) or "file"
    except UserError:
        raise
    except Exception as error:  # any network error
        raise UserError(
            "download-failed",
            f"Expected the URL of a file, but {address[:80]!r} cannot be downloaded; upload the file instead.",
        ) from error
    return save_bytes_to_cache(content, name, get_upload_folder())


async def _content(address: str, *, limit: int) -> bytes:
    # Connect to the address that was checked: a second DNS query may return another one.
    transport = safehttpx.AsyncSecureTransport(await safehttpx.async_validate_url(httpx.URL(address).host))
    content = bytearray()
    plain = {"Accept-Encoding": "identity"}  # compressed content could exceed the limit
    async with httpx.AsyncClient(transport=transport, headers=plain) as client, client.stream("GET", address) as answer:
        if answer.status_code != httpx.codes.OK:
            raise ConnectionError(f"status {answer.status_code}")
        async for chunk in answer.aiter_raw():
            content += chunk
            if len(content) > limit:
                raise UserError(
                    "file-too-large",
                    f"Expected files of at most {limit >> 20} MB, but {address[:80]!r} is larger; reduce it first.",
                    limit=limit,
                )
    return bytes(content)


async def fetch_all(data: Any, *, limit: int) -> Any:
    """Return the data of a request in which files named by URL are replaced by downloaded files.

    Args:
        data: decoded JSON, with files in Gradio's format.
        limit: largest size of each file in bytes.
    Raises:
        UserError: see `fetch`.
    """

    async def fetched(file: dict[str, Any]) -> dict[str, Any]:
        return {**file, "path": await fetch(file["path"], limit=limit)}

    return await async_traverse(data, fetched, lambda one: is_file_obj_with_meta(one) and is_http_url_like(one["path"]))
