"""Images and labelled data sets: reading files of any kind, the layouts that publishers use, classes and colours, and
the augmented batches of a training."""
