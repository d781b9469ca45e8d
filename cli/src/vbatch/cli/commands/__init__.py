"""One module a family of commands; `vbatch.cli.main` registers them."""
