"""The rules of the client: templates, request lines, answers, progress. They use no file, socket or clock."""
