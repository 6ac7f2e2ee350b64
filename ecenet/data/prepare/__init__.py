"""Labelled photos in the forms that people and tools have them, found (`find.py`), looked at (`check.py`) and written
in the folder layout (`write.py`): image masks of any kind, COCO, LabelMe, YOLO, VOC, CVAT, Label Studio."""
