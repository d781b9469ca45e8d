"""What `vbatch doctor` checks, how it judges the facts, and how it reports them."""
