"""Engine processes: their start, their guard, their folders and their end."""
