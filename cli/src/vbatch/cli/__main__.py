"""`python -m vbatch.cli` is the `vbatch` command."""

from vbatch.cli.main import app

app()
