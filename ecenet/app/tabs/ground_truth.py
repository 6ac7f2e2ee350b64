"""The part of the Pixel tab that compares the stages with a ground truth."""

import gradio as gr

from ecenet.analysis.diagnostics.ground_truth import StageScores, compare_with_truth, read_truth
from ecenet.analysis.plots import probe as figures
from ecenet.app.error_toasts import show_errors
from ecenet.app.state.events import LATEST, MODEL_EACH, MODEL_QUEUE, Subscription
from ecenet.app.state.select_events import required_file
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Session
from ecenet.inference.prediction import stage_title

NO_TRUTH = '<p class="ece-note">An 8-bit PNG of class indices in the model\'s order; 255 is ignored.</p>'
OTHER_CLASSES = '<p class="ece-note">The ground truth of this photo has the classes of another model.</p>'


def build(session: gr.State, selection: gr.State) -> Subscription:
    """Lay out the upload and the scores."""
    gr.Markdown("## Ground truth")
    with gr.Row():
        upload = gr.UploadButton(
            "Upload a ground-truth mask (PNG)",
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

    both = [session, selection]
    view = Subscription(render, both, [clear, verdict, bars, ious], "photo")
    for changed in (
        upload.upload(add_truth, [*both, upload], session, **MODEL_EACH),
        clear.click(remove_truth, both, session, **MODEL_QUEUE),
    ):
        view.after(changed.success)
        # A separate event, since the selection may have changed while the file was read.
        changed.success(Selection.with_other_truth, selection, selection, **LATEST)
    return view


@show_errors
def add_truth(session: Session, selection: Selection, path: str | None) -> Session:
    """Set the ground truth of the selected photo.

    Raises:
        gr.Error: the file is not a mask of this photo in the model's classes.
    """
    prediction = session.required_photo(selection).prediction
    truth = read_truth(
        required_file(path),
        size=prediction.image.size,
        class_names=prediction.class_names,
        max_pixels=session.limits.pixels,
    )
    return session.with_truth(selection, truth)


@show_errors
def remove_truth(session: Session, selection: Selection) -> Session:
    return session.with_truth(selection, None)


def render(session: Session, selection: Selection) -> tuple[gr.Button, str, gr.Plot, gr.Plot]:
    """Draw the scores of every stage of the selected photo against its ground truth."""
    photo = session.photo(selection)
    if photo is None or photo.true_mask is None:
        hidden = gr.Plot(None, visible=False)
        note = NO_TRUTH if photo is None or photo.truth is None else OTHER_CLASSES
        return gr.Button(visible=False), note, hidden, hidden
    prediction = photo.prediction
    scores = compare_with_truth(prediction, photo.true_mask)
    bars = figures.fixed_and_broken(scores)
    ious = figures.iou_lines(scores, class_names=prediction.class_names, class_colors=prediction.class_colors)
    return gr.Button(visible=True), score_table(scores), gr.Plot(bars, visible=True), gr.Plot(ious, visible=True)


def score_table(scores: StageScores) -> str:
    """Return a table with the correct, fixed and broken pixels and the mIoU of every stage."""
    rows = "".join(
        f"<tr><td>{stage_title(name)}</td><td>{scores.right[i] / scores.labelled:.1%}</td>"
        f"<td>{f'{scores.fixed[i - 1]:,}' if i else ''}</td><td>{f'{scores.broken[i - 1]:,}' if i else ''}</td>"
        f"<td>{100 * scores.mean_iou[i]:.1f}</td></tr>"
        for i, name in enumerate(scores.stages)
    )
    return f"""
<table class="ece-legend">
  <thead><tr><th>Stage</th><th>Correct</th><th>Fixed</th><th>Broken</th><th>mIoU</th></tr></thead>
  <tbody>{rows}</tbody>
</table>
<p class="ece-note">Of {scores.labelled:,} labelled pixels. Fixed: wrong at the previous stage, correct at this one.
Broken: the reverse. mIoU over the classes in the ground truth.</p>"""
