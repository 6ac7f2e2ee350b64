"""Small HTML fragments that several tabs share."""

import base64
import html
import io

from PIL import Image


def escape(text: str) -> str:
    """Escape text of unknown origin, such as a file name, for HTML."""
    return html.escape(text, quote=True)


def data_uri(image: Image.Image, *, file_format: str) -> str:
    """Encode a picture as a data URI: JPEG for photos, PNG for masks."""
    buffer = io.BytesIO()
    image.save(buffer, format=file_format, **({"quality": 88} if file_format == "JPEG" else {}))
    return f"data:image/{file_format.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def on_click(selector: str, event: str, payload: str) -> str:
    """Return a script for `gr.HTML` that sends an event for a click, or double-click, inside an element that matches.

    Args:
        selector: CSS selector of the elements.
        payload: JavaScript expression for the event's data, in which `picked` is the matching element.
    """
    return f"""element.addEventListener('click', (event) => {{
  const picked = event.target.closest('{selector}');
  if (picked && event.detail < 2) trigger('{event}', {payload});
}});"""


def empty_state(text: str) -> str:
    """Return the placeholder of a view without content."""
    return f'<p class="ece-empty">{escape(text)}</p>'


def color_swatch(color: list[int]) -> str:
    # `int` rejects anything but numbers: colours may come from files that visitors open.
    red, green, blue = (int(channel) for channel in color)
    return f'<span class="ece-swatch" style="background:rgb({red},{green},{blue})"></span>'
