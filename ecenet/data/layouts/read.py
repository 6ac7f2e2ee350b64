"""Reading of a split in any supported layout."""

from pathlib import Path
from typing import Literal, get_args

from ecenet.common.errors import UserError
from ecenet.data.layouts.ade20k import read_ade20k
from ecenet.data.layouts.camvid import read_camvid
from ecenet.data.layouts.cityscapes import read_cityscapes
from ecenet.data.layouts.folder import read_folder
from ecenet.data.layouts.pascal_context import read_pascal_context
from ecenet.data.layouts.voc2012 import read_voc2012
from ecenet.data.split import LabelledSplit

Layout = Literal["folder", "ade20k", "pascal-context-59", "pascal-context-60", "cityscapes", "voc2012", "camvid"]
"""Layout of a data set: our folder layout, or that of a published data set."""


def read_data(root: Path | str, split: str, *, layout: Layout) -> LabelledSplit:
    """List the files of a split and pair them, without loading them.

    Raises:
        UserError: files that the layout requires are missing.
    """
    match layout:
        case "folder":
            return read_folder(root, split)
        case "ade20k":
            return read_ade20k(root, split)
        case "pascal-context-59":
            return read_pascal_context(root, split)
        case "pascal-context-60":
            return read_pascal_context(root, split, background=True)
        case "cityscapes":
            return read_cityscapes(root, split)
        case "voc2012":
            return read_voc2012(root, split)
        case "camvid":
            return read_camvid(root, split)
    raise UserError(
        "unknown-choice",
        f"Expected one of the layouts {', '.join(get_args(Layout))}, got {layout!r}; choose one of them.",
    )
