"""Commands for labelled photos: `data check` inspects them, `data prepare` converts them to the folder layout."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from ecenet.common.default_weights import DEFAULT_WEIGHTS
from ecenet.data.prepare.options import PrepareOptions


@dataclass(frozen=True)
class Check:
    """Inspect labelled photos in any supported format: report what was found, what training would reject, and which
    command to run next. Nothing is written."""

    folder: tyro.conf.Positional[Path]
    """Folder of photos and labels, or `hf:USER/NAME` on the Hugging Face Hub."""
    options: tyro.conf.OmitArgPrefixes[PrepareOptions] = field(default_factory=PrepareOptions)

    def run(self) -> None:
        from ecenet.data.prepare.check import check

        print(check(self.folder, self.options).report())


@dataclass(frozen=True)
class Prepare:
    """Convert labelled photos in any supported format to the folder layout for `train`. The originals are not changed.
    Running the same command again resumes an interrupted conversion."""

    source: tyro.conf.Positional[Path]
    """Folder of photos with mask files, COCO, LabelMe, CVAT or Label Studio exports, or YOLO polygons; or
    `hf:USER/NAME` or `hf:USER/NAME:SPLIT` on the Hugging Face Hub."""
    out: Path
    """Output folder. Its `overview.jpg` shows some photos under their masks."""
    options: tyro.conf.OmitArgPrefixes[PrepareOptions] = field(default_factory=PrepareOptions)

    def run(self) -> None:
        from ecenet.data.prepare.write import prepare

        done = prepare(self.source, self.out, self.options)
        print(done.report())
        print(f"Wrote {self.out}; look at {self.out / 'overview.jpg'}.")
        options = f"--start-from {DEFAULT_WEIGHTS} --out runs/{self.out.resolve().name}"
        print(f"Next: python -m ecenet train --data {self.out} {options}")


@dataclass(frozen=True)
class Data:
    """Inspect your own labelled photos (`data check`), or convert them for training (`data prepare`)."""

    action: tyro.conf.OmitSubcommandPrefixes[
        Annotated[Check, tyro.conf.subcommand("check")] | Annotated[Prepare, tyro.conf.subcommand("prepare")]
    ]

    def run(self) -> None:
        self.action.run()
