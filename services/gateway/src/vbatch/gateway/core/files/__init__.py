"""What may be asked of files and uploads, and what each ask means."""
