"""Commands about labelled photos: `data check` looks at them, `data prepare` writes them in the folder layout."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from ecenet.common.default_weights import DEFAULT_WEIGHTS
from ecenet.data.prepare.options import PrepareOptions


@dataclass(frozen=True)
class Check:
    """Say what labelled photos lie in a folder, in whatever form, what training would refuse, and what to run next.
    Nothing is written."""

    folder: tyro.conf.Positional[Path]
    """Of the photos and their labels, or `hf:USER/NAME` on the Hugging Face Hub."""
    options: tyro.conf.OmitArgPrefixes[PrepareOptions] = field(default_factory=PrepareOptions)

    def run(self) -> None:
        from ecenet.data.prepare.check import check

        print(check(self.folder, self.options).report())


@dataclass(frozen=True)
class Prepare:
    """Write labelled photos of any known form in the folder layout, which `train` takes. The originals stay as they
    are; the same command continues an interrupted one."""

    source: tyro.conf.Positional[Path]
    """Folder of photos with mask files, COCO, LabelMe, CVAT or Label Studio exports, or YOLO polygons; or
    `hf:USER/NAME` or `hf:USER/NAME:SPLIT` on the Hugging Face Hub."""
    out: Path
    """Folder to write to; `overview.jpg` in it shows some photos under their masks."""
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
    """Look at labelled photos of your own (`data check`), or write them as training takes them (`data prepare`)."""

    action: tyro.conf.OmitSubcommandPrefixes[
        Annotated[Check, tyro.conf.subcommand("check")] | Annotated[Prepare, tyro.conf.subcommand("prepare")]
    ]

    def run(self) -> None:
        self.action.run()
