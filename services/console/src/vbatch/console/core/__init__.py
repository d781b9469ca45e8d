"""Pure rules of the pages: their content and wording, and where bars begin and end."""
