"""An overview picture of prepared photos under their masks."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ecenet.data.images import load_image, thumbnail
from ecenet.data.labels import IGNORE_INDEX

CELL, COLUMNS = 320, 4
OPACITY = 0.5
LINE = 18


def contact_sheet(pairs: list[tuple[Path, Path]], *, names: list[str], colors: list[list[int]]) -> Image.Image:
    """Draw photos, each beside the same photo under its mask, and a legend of the classes.

    Args:
        pairs: files of photos and masks of class indices.
    """
    cells = [_cell(photo, mask, colors) for photo, mask in pairs]
    rows = [cells[start : start + COLUMNS // 2] for start in range(0, len(cells), COLUMNS // 2)]
    heights = [max(cell.height for cell in row) for row in rows]
    legend_rows = -(-len(names) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * CELL, sum(heights) + LINE * legend_rows + 8), "white")
    top = 0
    for row, height in zip(rows, heights, strict=True):
        for column, cell in enumerate(row):
            sheet.paste(cell, (column * 2 * CELL, top))
        top += height
    write = ImageDraw.Draw(sheet)
    for number, (name, color) in enumerate(zip(names, colors, strict=True)):
        x, y = (number % COLUMNS) * CELL, top + 4 + (number // COLUMNS) * LINE
        write.rectangle((x + 4, y + 2, x + 16, y + 14), fill=(color[0], color[1], color[2]), outline="grey")
        write.text((x + 22, y + 2), name[:40], fill="black")
    return sheet


def overlaid(photo: Image.Image, mask: np.ndarray, colors: list[list[int]]) -> Image.Image:
    """Draw a photo under its mask; ignored pixels keep the colours of the photo.

    Args:
        mask: (H, W) uint8 class indices, at least as large as the photo.
    """
    indices = np.asarray(Image.fromarray(mask).resize(photo.size, Image.Resampling.NEAREST))
    table = np.zeros((256, 3), np.float32)
    table[: len(colors)] = colors
    pixels = np.asarray(photo).astype(np.float32)
    shares = np.where(indices == IGNORE_INDEX, 0.0, OPACITY)[..., None]
    return Image.fromarray((pixels * (1 - shares) + table[indices] * shares).round().astype(np.uint8))


def _cell(photo: Path, mask: Path, colors: list[list[int]]) -> Image.Image:
    small = thumbnail(load_image(photo), max_side=CELL - 4)
    cell = Image.new("RGB", (2 * CELL, small.height + 4), "white")
    cell.paste(small, (0, 0))
    cell.paste(overlaid(small, np.asarray(Image.open(mask)), colors), (CELL, 0))
    return cell
