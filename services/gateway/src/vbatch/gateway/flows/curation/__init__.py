"""The flows of judgements and data sets."""
