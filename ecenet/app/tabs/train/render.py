"""A run as HTML: its progress, its pictures, the end of its log."""

import base64

from ecenet.app.widgets.markup import empty_state, escape
from ecenet.training.jobs.length import Plan
from ecenet.training.jobs.status import RunReport, log_lines, pace, sample_pictures
from ecenet.training.jobs.timing import StepTimes

NO_RUNS = "No runs yet. Choose your data and press Start, or train on the command line."


def status(run: RunReport | None) -> str:
    """Return the state, steps, speed and best score of a run."""
    if run is None:
        return empty_state(NO_RUNS)
    bar = ""
    if run.steps:
        bar = f'<progress max="{run.steps}" value="{run.step}" aria-label="Steps done"></progress>'
    facts = "".join(f"<li>{escape(fact)}</li>" for fact in _facts(run))
    return f"""
<div class="ece-run">
  <p><span class="ece-state" data-state="{run.state}">{run.state}</span> <b>{escape(run.name)}</b></p>
  {bar}<ul>{facts}</ul>
  <p class="ece-note">{escape(_remark(run))}</p>
</div>"""


def _facts(run: RunReport) -> list[str]:
    facts = []
    if run.steps is not None:
        facts.append(f"step {run.step} of {run.steps}")
    speed = pace(run) if run.state == "running" else None
    if speed is not None:
        facts += [f"{speed.images_per_second:.1f} images/s", f"{_duration(speed.seconds_left)} left"]
    if run.miou is not None:
        facts.append(f"best mIoU {100 * run.miou:.1f}")
    return facts


def _remark(run: RunReport) -> str:
    match run.state:
        case "starting":
            return "Loading the network and reading every mask once before the first step."
        case "running":
            return "The run continues if you close this page or stop the app."
        case "stopping":
            return "The run saves a checkpoint and ends after the current step."
        case "stopped":
            return "Resume continues from the last checkpoint."
        case "finished":
            return (
                "The best weights are in the model list. Use the button to see the run's class embeddings on the map."
            )
    return run.error


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"about {seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"about {minutes} min" if minutes < 100 else f"about {minutes // 60} h {minutes % 60} min"


def log_end(run: RunReport | None) -> str:
    """Return the end of a failed run's log, or ""."""
    if run is None or run.state != "failed":
        return ""
    lines = escape("\n".join(log_lines(run.folder)))
    return f'<p class="ece-note">End of the log:</p><pre class="ece-log" tabindex="0">{lines}</pre>'


def sample(run: RunReport | None, number: int) -> str:
    """Return the picture of validation `number`, counted from 1, or the last one if there are fewer."""
    pictures = sample_pictures(run.folder) if run is not None else []
    if not pictures:
        return ""
    step, path = pictures[min(max(number, 1), len(pictures)) - 1]
    source = f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}"
    return f"""
<figure class="ece-sample">
  <figcaption>Step {step} <small>photo, ground truth, coarse mask, final mask</small></figcaption>
  <img src="{source}" alt="Validation photos with ground truth, coarse masks and final masks at step {step}">
</figure>"""


def length(plan: Plan, times: StepTimes) -> str:
    """Describe how many steps fit into the minutes."""
    step = (times.resting + times.whole) / 2
    validations = -(-plan.steps // plan.validate_every)
    text = (
        f"A step takes about {step:.2g} s on this machine: {_duration(plan.seconds)} for {plan.steps} steps "
        f"with {validations} validation{'' if validations == 1 else 's'}."
    )
    return f'<p class="ece-note">{escape(text)}</p>'


def field_error(sentence: str) -> str:
    """Return an error message for the field above."""
    return f'<p class="ece-field-error" role="alert">{escape(sentence)}</p>'
