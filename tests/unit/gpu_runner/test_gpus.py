"""What is read of the GPUs, from drivers that answer, refuse or are not there."""

from __future__ import annotations

from dataclasses import replace

from tests.support.nvml import GIB, RTX_4080, DriverOf
from vbatch.gpu_runner.adapters.gpus import read_gpus


def test_a_card_is_read_whole():
    found = read_gpus(DriverOf((replace(RTX_4080, power_watts=(250, 320), processes=2),), cuda=12_080))
    gpu = found.gpus[0]
    assert (found.driver, found.cuda, found.trouble) == ("580.82", "12.8", "")
    assert (gpu.name, gpu.memory_bytes, gpu.free_bytes) == ("NVIDIA GeForce RTX 4080", 16 * GIB, 15 * GIB)
    assert (gpu.capability, gpu.has_fp8, gpu.has_bfloat16) == ("8.9", True, True)
    assert (gpu.power_limit_watts, gpu.power_default_watts, gpu.process_count) == (250, 320, 2)


def test_what_a_card_has_not_is_not_made_up():
    gpu = read_gpus(DriverOf((replace(RTX_4080, power_watts=None),))).gpus[0]
    assert (gpu.power_limit_watts, gpu.has_mig, gpu.nvlink_count) == (None, False, 0)


def test_a_divided_and_linked_card_says_so():
    gpu = read_gpus(DriverOf((replace(RTX_4080, has_mig=True, links=4),))).gpus[0]
    assert (gpu.has_mig, gpu.nvlink_count) == (True, 4)


def test_without_a_driver_there_are_no_gpus_and_a_reason():
    found = read_gpus(DriverOf(()))
    assert found.gpus == () and "Driver Not Loaded" in found.trouble
