"""What is done with judgements and data sets."""
