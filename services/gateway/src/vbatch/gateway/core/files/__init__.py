"""The requests about files and uploads, and what each of them means."""
