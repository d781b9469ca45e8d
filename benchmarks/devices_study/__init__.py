"""The device's choices against vLLM's defaults and a small grid, on real vLLM."""
