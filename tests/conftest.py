"""Fixtures that every tier may ask for."""

from __future__ import annotations

from hypothesis import settings

# An example that waits for a busy machine is no failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

pytest_plugins = ["tests.support.postgres"]
