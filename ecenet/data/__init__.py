"""Images and labelled data sets: file formats, layouts of published data sets, classes and colours, and augmented
training batches."""
