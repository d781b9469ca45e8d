"""One module for each family of commands; `vbatch.cli.main` registers them."""
