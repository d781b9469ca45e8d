"""Pure rules: what a task looks like, and what an annotation says."""
