"""The part of the Pixel tab that compares with a ground truth: what every stage mended and broke."""

from dataclasses import dataclass

import gradio as gr
import numpy as np

from ecenet.explore.truth import StageScores, compare_with_truth, read_truth
from ecenet.figures import probe as figures
from ecenet.prediction import stage_title
from ecenet.ui.selection import Selection
from ecenet.ui.session import Session
from ecenet.ui.toast import show_errors
from ecenet.ui.view import HIDDEN, View

NO_TRUTH = '<p class="ece-note">An 8-bit PNG of class indices in the model\'s order; 255 is left out.</p>'


@dataclass(frozen=True)
class Truth:
    """A ground truth, and the view that it was uploaded for: on the way to another photo it is left behind."""

    shown: tuple[int, int]
    """`Selection.shown`."""
    mask: np.ndarray
    """(H, W) uint8, 255 = ignore."""


def build(session: gr.State, selection: gr.State) -> View:
    """Lay out the upload and the scores."""
    truth = gr.State(None)
    gr.Markdown("### Against the truth")
    with gr.Row():
        upload = gr.UploadButton(
            "Upload the photo's true mask (PNG)",
            file_types=[".png"],
            size="sm",
            elem_id="truth-upload",
            scale=0,
            min_width=260,
        )
        clear = gr.Button("Remove the mask", size="sm", visible=False, elem_id="truth-clear", scale=0, min_width=160)
    verdict = gr.HTML(NO_TRUTH, elem_id="truth-scores")
    with gr.Row():
        bars = gr.Plot(show_label=False, visible=False, elem_id="fixed-plot", min_width=300)
        ious = gr.Plot(show_label=False, visible=False, elem_id="iou-plot", min_width=300)

    @show_errors
    def add_truth(session: Session, selection: Selection, path: str) -> Truth:
        prediction = session.required_photo(selection).prediction
        mask = read_truth(path, size=prediction.image.size, class_names=prediction.class_names)
        return Truth(selection.shown(), mask)

    both = [session, selection]
    view = View(render, [*both, truth], [truth, clear, verdict, bars, ious], "photo")
    view.after(upload.upload(add_truth, [*both, upload], truth, api_visibility="private").success)
    view.after(clear.click(lambda: None, None, truth, **HIDDEN).success)
    return view


def render(
    session: Session, selection: Selection, truth: Truth | None
) -> tuple[Truth | None, gr.Button, str, gr.Plot, gr.Plot]:
    """Scores of every stage against the truth; a truth of another photo is dropped."""
    photo = session.photo(selection)
    if photo is None or truth is None or truth.shown != selection.shown():
        hidden = gr.Plot(None, visible=False)
        return None, gr.Button(visible=False), NO_TRUTH, hidden, hidden
    prediction = photo.prediction
    scores = compare_with_truth(prediction, truth.mask)
    bars = figures.fixed_and_broken(scores)
    ious = figures.iou_lines(scores, class_names=prediction.class_names, class_colors=prediction.class_colors)
    page = score_table(scores)
    return truth, gr.Button(visible=True), page, gr.Plot(bars, visible=True), gr.Plot(ious, visible=True)


def score_table(scores: StageScores) -> str:
    """Right, fixed and broken pixels and mIoU of every stage."""
    rows = "".join(
        f"<tr><td>{stage_title(name)}</td><td>{scores.right[i] / scores.labelled:.1%}</td>"
        f"<td>{f'{scores.fixed[i - 1]:,}' if i else ''}</td><td>{f'{scores.broken[i - 1]:,}' if i else ''}</td>"
        f"<td>{100 * scores.mean_iou[i]:.1f}</td></tr>"
        for i, name in enumerate(scores.stages)
    )
    return f"""
<table class="ece-legend">
  <thead><tr><th>Stage</th><th>Right</th><th>Fixed</th><th>Broken</th><th>mIoU</th></tr></thead>
  <tbody>{rows}</tbody>
</table>
<p class="ece-note">Of {scores.labelled:,} labelled pixels. Fixed: wrong at the stage before, right now; broken: the
other way round. mIoU over the classes of the mask.</p>"""
