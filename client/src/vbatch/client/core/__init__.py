"""The rules of the client: templates, request lines, answers, progress. They read no file, no socket and no clock."""
