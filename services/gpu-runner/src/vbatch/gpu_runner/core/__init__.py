"""The rules of the gpu-runner: pure, no I/O, no clock."""
