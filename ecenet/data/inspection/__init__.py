"""What is probably a mistake in a labelled data set, told before work is spent on it."""
