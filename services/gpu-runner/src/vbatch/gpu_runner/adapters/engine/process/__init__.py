"""Engine processes: how they start, are guarded, keep their files and end."""
