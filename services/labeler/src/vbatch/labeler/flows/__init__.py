"""What the labeler does: push tasks, pull judgements."""
