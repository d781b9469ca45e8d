"""`python -m vbatch.cli` is the `vbatch` command."""

from vbatch.cli.process import main

main()
