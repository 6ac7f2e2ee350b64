"""Reading predictions: pixel by pixel, stage by stage, against the truth, another model or the reference photos."""
