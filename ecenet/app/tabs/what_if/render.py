"""What an experiment changes, drawn: masks before and after, classes that lost and won, maps of painted classes."""

import math
from dataclasses import replace

import numpy as np
from PIL import Image

from ecenet.analysis.diagnostics.comparison import Comparison, StageChange, class_changes, compare
from ecenet.analysis.interventions.scenario import predict_scenario
from ecenet.app.state.experiment import Experiment
from ecenet.app.state.selection import MIN_AREA, Selection, shown_class
from ecenet.app.state.session import Photo, Session
from ecenet.app.tabs.similarity import render_maps
from ecenet.app.widgets.markup import color_swatch, data_uri, empty_state, escape
from ecenet.app.widgets.pictures import changed_photo, difference_legend, figure, masked_photo
from ecenet.data.images import thumbnail
from ecenet.inference.overlay import CHANGE_SCALE, heat_colors, similarity_overlay
from ecenet.inference.prediction import Prediction, stage_title
from ecenet.inference.predictor import Predictor

PICTURE_SIDE, CARD_SIDE = 480, 260
"""Longest sides in pixels of the pictures sent: of the selected photo, and of the others."""
NOTHING_YET = (
    "Nothing is otherwise yet: paint a class, change a mask or switch something off; what follows appears here."
)


def render_result(experiment: Experiment, session: Session, selection: Selection, *, predictor: Predictor) -> str:
    """The selected photo, before and after, at the selected stage; no other is worked out, to be quick.

    Raises:
        UserError: the experiment does not fit the photo.
    """
    photo = session.photo(selection)
    if photo is None:
        return empty_state("Add a photo first: here you can ask what would be if something were otherwise.")
    experiment = experiment.of(session)
    scenario = experiment.scenario_for(photo.prediction)
    if scenario.changes_nothing:
        return empty_state(NOTHING_YET)
    stage = session.stage(selection)
    after = predict_scenario(predictor, photo.prediction, scenario, stages=(stage,))
    comparison = compare(photo.prediction, after, truth=photo.true_mask)
    change = comparison.stages[stage]
    small = thumbnail(photo.prediction.image, max_side=PICTURE_SIDE)
    figures = [
        figure(
            masked_photo(small, prediction.stages[stage].label_map, prediction.class_colors),
            alt=f"{photo.name}, {word}",
            caption=f"{word}, {stage_title(stage)}",
        )
        for prediction, word in ((photo.prediction, "Before"), (after, "After"))
    ]
    changed = changed_photo(small, change.changed)
    figures.append(figure(changed, alt="what changed", caption=difference_legend("changed")))
    class_name = shown_class(photo.prediction, selection.class_name)
    if class_name not in scenario.without:  # which is nowhere similar
        moved = change.similarity[photo.prediction.class_names.index(class_name)]
        figures.append(_similarity_change(small, moved, class_name=class_name))
    took = ", ".join(filter(None, [f"{after.seconds * 1000:.0f} ms", after.features.remark]))
    return f"""
<p class="ece-sentence">{_sentence(comparison)}</p>
<div class="ece-grid">{"".join(figures)}</div>
{_change_table(change, after=after)}
<p class="ece-note">The head alone ran again, on features that were kept: {took}.</p>"""


def _similarity_change(small: Image.Image, change: np.ndarray, *, class_name: str) -> str:
    """Where a class's similarity map, (h, w), went up or down."""
    most = max(float(np.abs(change).max()), 1e-6)
    picture = similarity_overlay(small, change, low=-most, high=most, scale=CHANGE_SCALE)
    entries = (("less", -most), ("more", most))
    swatches = {
        word: heat_colors(np.array(end), low=-most, high=most, scale=CHANGE_SCALE).tolist() for word, end in entries
    }
    legend = " ".join(f'<span class="ece-entry">{color_swatch(color)}{word}</span>' for word, color in swatches.items())
    caption = f"Similarity to {escape(class_name)}: {change.min():+.2g} … {change.max():+.2g} {legend}"
    source = data_uri(picture, file_format="JPEG")
    return figure(source, alt=f"change of the similarity to {class_name}", caption=caption)


def _sentence(comparison: Comparison) -> str:
    parts = [f"{stage_title(name)} {change.changed_share:.1%}" for name, change in comparison.stages.items()]
    text = f"Pixels that change their class: {', '.join(parts)}."
    if unseen := comparison.unseen:
        text += f" No pixel becomes {' or '.join(unseen)}."
    if comparison.mean_iou is not None:
        gains = zip(comparison.stages, comparison.mean_iou, strict=True)
        text += " Against the truth, mIoU " + ", ".join(
            f"{stage_title(name)} {100 * gain:+.1f}" for name, gain in gains
        )
        text += "."
    return escape(text)


def _change_table(change: StageChange, *, after: Prediction) -> str:
    """Classes whose pixels, or whose embedding, changed; the largest change first."""
    names, colors = after.class_names, after.class_colors
    rows = "".join(
        f"<tr><td>{color_swatch(colors[row.class_index])}{escape(names[row.class_index])}</td>"
        f"<td>{row.area_after - row.area_before:+.1%}</td><td>{row.lost:,}</td><td>{row.gained:,}</td>"
        f"<td>{'new' if math.isnan(row.cosine_distance) else f'{row.cosine_distance:.3f}'}</td></tr>"
        for row in class_changes(change, after=after.stages[change.stage])
    )
    return f"""
<table class="ece-legend">
  <caption>{stage_title(change.stage)}: what each class lost and won</caption>
  <thead><tr><th>Class</th><th>Area</th><th>Pixels lost</th><th>won</th><th>Embedding moved</th></tr></thead>
  <tbody>{rows}</tbody>
</table>
<p class="ece-note">Embedding moved: cosine distance between the class's embedding before and after.</p>"""


def render_details(experiment: Experiment, session: Session, selection: Selection, *, predictor: Predictor) -> str:
    """What it comes to in the end, the similarity maps of the last painted class that has an embedding, and the other
    photos; nothing without a change.

    Raises:
        UserError: the experiment does not fit a photo.
    """
    photo = session.photo(selection)
    experiment = experiment.of(session)
    if photo is None or experiment.scenario_for(photo.prediction).changes_nothing:
        return ""
    scenario, stage = experiment.scenario_for(photo.prediction), session.stage(selection)
    classes = [one for one in scenario.classes if one.in_head]
    after = predict_scenario(predictor, photo.prediction, scenario, stages=None if classes else ("final",))
    page = ""
    if stage != "final":
        comparison = compare(photo.prediction, after, truth=photo.true_mask)
        page += f'<p class="ece-sentence">{_sentence(comparison)}</p>'
    if classes:
        # Not of ECE, whose mask knows nothing of added classes: their place there is far below any scale.
        after = replace(after, stages={name: one for name, one in after.stages.items() if name != "ece"})
        name = classes[-1].name
        page += f"<h2>Similarity to {escape(name)}</h2>"
        page += render_maps(after, class_name=name, stage=stage, rows="stages")
    others = [one for one in session.photos if one is not photo]
    cards = "".join(_other_card(one, experiment, predictor=predictor) for one in others)
    return page + (f'<h2>Your other photos</h2><div class="ece-grid">{cards}</div>' if cards else "")


def _other_card(photo: Photo, experiment: Experiment, *, predictor: Predictor) -> str:
    """Another photo's final mask after the change, as far as that concerns all photos."""
    scenario = experiment.scenario_for(photo.prediction)
    if scenario.changes_nothing:
        return ""
    after = predict_scenario(predictor, photo.prediction, scenario, stages=("final",))
    share = compare(photo.prediction, after).stages["final"].changed_share
    largest = after.final.present(min_area=MIN_AREA)[:3]
    classes = ", ".join(f"{after.class_names[k]} {after.final.area[k]:.0%}" for k in largest)
    caption = f"{escape(photo.name)} <small>{share:.1%} changed: {escape(classes)}</small>"
    small = thumbnail(after.image, max_side=CARD_SIDE)
    return figure(masked_photo(small, after.label_map, after.class_colors), alt=photo.name, caption=caption)
