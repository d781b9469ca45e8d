"""The labeler: hands answers to Label Studio as tasks with predictions, and brings judgements back."""
