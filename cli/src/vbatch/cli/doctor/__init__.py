"""What `vbatch doctor` looks at, what it makes of it, and how it says so."""
