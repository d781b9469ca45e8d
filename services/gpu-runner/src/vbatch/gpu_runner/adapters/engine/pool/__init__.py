"""Engines that are loaded, asleep or prepared in advance."""
