"""Small pieces of HTML that several tabs share."""

import base64
import html
import io

from PIL import Image


def escape(text: str) -> str:
    """Text of unknown origin, such as a file's name, made safe for HTML."""
    return html.escape(text, quote=True)


def data_uri(image: Image.Image, *, file_format: str) -> str:
    """The picture inside its own address. JPEG for photos, PNG for masks."""
    buffer = io.BytesIO()
    image.save(buffer, format=file_format, **({"quality": 88} if file_format == "JPEG" else {}))
    return f"data:image/{file_format.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def on_click(selector: str, event: str, payload: str) -> str:
    """A gr.HTML's script: a click inside of what a selector finds sends an event, a double-click sends one, too.

    Args:
        payload: a JavaScript object, made of the element that was found, `picked`.
    """
    return f"""element.addEventListener('click', (event) => {{
  const picked = event.target.closest('{selector}');
  if (picked && event.detail < 2) trigger('{event}', {payload});
}});"""


def empty_state(text: str) -> str:
    """What a view shows before there is anything to see."""
    return f'<p class="ece-empty">{escape(text)}</p>'


def color_swatch(color: list[int]) -> str:
    # Numbers, or it fails: colours come with files that visitors open, too.
    red, green, blue = (int(channel) for channel in color)
    return f'<span class="ece-swatch" style="background:rgb({red},{green},{blue})"></span>'
