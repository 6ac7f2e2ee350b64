"""The results of an experiment: masks before and after, changes of each class, and maps of painted classes."""

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
"""Longest sides in pixels of the pictures: of the selected photo, and of the others."""
NOTHING_YET = "No changes yet. Paint a class, change a mask or switch off a part to see its effect here."


def render_result(experiment: Experiment, session: Session, selection: Selection, *, predictor: Predictor) -> str:
    """Draw the selected photo before and after at the selected stage. Other stages are not computed, for speed.

    Raises:
        UserError: the experiment does not fit the photo.
    """
    photo = session.photo(selection)
    if photo is None:
        return empty_state("Add a photo to change something inside the network and see the effect.")
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
    figures.append(figure(changed, alt="changes", caption=difference_legend("changed")))
    class_name = shown_class(photo.prediction, selection.class_name)
    if class_name not in scenario.without:  # an excluded class has no similarity
        moved = change.similarity[photo.prediction.class_names.index(class_name)]
        figures.append(_similarity_change(small, moved, class_name=class_name))
    took = ", ".join(filter(None, [f"{after.seconds * 1000:.0f} ms", after.features.remark]))
    return f"""
<p class="ece-sentence">{_sentence(comparison)}</p>
<div class="ece-grid">{"".join(figures)}</div>
{_change_table(change, after=after)}
<p class="ece-note">Only the head was run again, on cached features: {took}.</p>"""


def _similarity_change(small: Image.Image, change: np.ndarray, *, class_name: str) -> str:
    """Draw where the similarity map of a class, (h, w), increased or decreased."""
    most = max(float(np.abs(change).max()), 1e-6)
    picture = similarity_overlay(small, change, low=-most, high=most, scale=CHANGE_SCALE)
    entries = (("less", -most), ("more", most))
    swatches = {
        word: heat_colors(np.array(end), low=-most, high=most, scale=CHANGE_SCALE).tolist() for word, end in entries
    }
    legend = " ".join(f'<span class="ece-entry">{color_swatch(color)}{word}</span>' for word, color in swatches.items())
    caption = f"Similarity to {escape(class_name)}: {change.min():+.2g} … {change.max():+.2g} {legend}"
    source = data_uri(picture, file_format="JPEG")
    return figure(source, alt=f"change in similarity to {class_name}", caption=caption)


def _sentence(comparison: Comparison) -> str:
    parts = [f"{stage_title(name)} {change.changed_share:.1%}" for name, change in comparison.stages.items()]
    text = f"Pixels that changed class: {', '.join(parts)}."
    if unseen := comparison.unseen:
        text += f" No pixel became {' or '.join(unseen)}."
    if comparison.mean_iou is not None:
        gains = zip(comparison.stages, comparison.mean_iou, strict=True)
        text += " Change in mIoU: " + ", ".join(f"{stage_title(name)} {100 * gain:+.1f}" for name, gain in gains)
        text += "."
    return escape(text)


def _change_table(change: StageChange, *, after: Prediction) -> str:
    """Return a table of the classes whose pixels or embedding changed, largest change first."""
    names, colors = after.class_names, after.class_colors
    rows = "".join(
        f"<tr><td>{color_swatch(colors[row.class_index])}{escape(names[row.class_index])}</td>"
        f"<td>{row.area_after - row.area_before:+.1%}</td><td>{row.lost:,}</td><td>{row.gained:,}</td>"
        f"<td>{'new' if math.isnan(row.cosine_distance) else f'{row.cosine_distance:.3f}'}</td></tr>"
        for row in class_changes(change, after=after.stages[change.stage])
    )
    return f"""
<table class="ece-legend">
  <caption>{stage_title(change.stage)}: changes of each class</caption>
  <thead><tr><th>Class</th><th>Area</th><th>Pixels lost</th><th>gained</th><th>Embedding moved</th></tr></thead>
  <tbody>{rows}</tbody>
</table>
<p class="ece-note">Embedding moved: cosine distance between the class embedding before and after.</p>"""


def render_details(experiment: Experiment, session: Session, selection: Selection, *, predictor: Predictor) -> str:
    """Draw the effect on the final mask, the similarity maps of the last painted class that has an embedding, and the
    other photos; returns "" if nothing is changed.

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
        # Without ECE: added classes take no part in its mask, and their values there are far below the scale.
        after = replace(after, stages={name: one for name, one in after.stages.items() if name != "ece"})
        name = classes[-1].name
        page += f"<h2>Similarity to {escape(name)}</h2>"
        page += render_maps(after, class_name=name, stage=stage, rows="stages")
    others = [one for one in session.photos if one is not photo]
    cards = "".join(_other_card(one, experiment, predictor=predictor) for one in others)
    return page + (f'<h2>Your other photos</h2><div class="ece-grid">{cards}</div>' if cards else "")


def _other_card(photo: Photo, experiment: Experiment, *, predictor: Predictor) -> str:
    """Draw the final mask of another photo after the changes that apply to all photos."""
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
