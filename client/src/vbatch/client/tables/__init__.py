"""Tables in files and frames: read in chunks, made into request lines, and written again with their answers."""
