"""Labelled data as HTML: a table of its classes, warnings, and some photos under their masks."""

from ecenet.app.widgets.markup import color_swatch, data_uri, escape
from ecenet.data.inspection.class_table import class_rows, left_out
from ecenet.data.prepare.trainable import TrainableData


def found(data: TrainableData) -> str:
    """Return the whole view of the data.

    Raises:
        UserError: a photo cannot be read.
    """
    train, val = (data.checked.counts[split] for split in ("train", "val"))
    facts = f"{len(data.class_names)} classes, {len(train)} photos to train on, {len(val)} to validate"
    prepared = (
        f'<p class="ece-note">{escape(data.how)}. A copy is prepared; the original is not changed.</p>'
        if data.how
        else ""
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in data.checked.notes)
    return f"""
<div class="ece-data">
  <p><b>{escape(facts)}</b></p>{prepared}
  {f'<ul class="ece-note">{notes}</ul>' if notes else ""}
  {_table(data)}
  {_samples(data)}
</div>"""


def _table(data: TrainableData) -> str:
    head, *rows = class_rows(data.class_names, data.checked.counts)
    colors = dict(zip(data.class_names, data.class_colors, strict=True))
    titles = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = ""
    for name, *cells in rows:
        swatch = color_swatch(colors[name]) if name in colors else ""
        body += f"<tr><td>{swatch}{escape(name)}</td>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
    note = left_out(data.class_names)
    return f"""
<div class="ece-data-table" tabindex="0"><table class="ece-legend"><thead><tr>{titles}</tr></thead><tbody>{body}</tbody>
</table></div>{f'<p class="ece-note">{escape(note)}</p>' if note else ""}"""


def _samples(data: TrainableData) -> str:
    pictures = "".join(
        f'<figure><img src="{data_uri(picture, file_format="JPEG")}" alt="{escape(caption)}, under its mask">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, picture in data.samples()
    )
    return f'<div class="ece-samples">{pictures}</div>'
