"""The base of every service: settings, logs, telemetry, health, blobs, process life."""
