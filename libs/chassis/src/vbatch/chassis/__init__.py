"""What every service stands on: settings, logs, telemetry, health, blobs, process life."""
