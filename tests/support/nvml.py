"""NVML's functions as a driver on another machine would answer them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pynvml

GIB = 1 << 30


@dataclass(frozen=True)
class Memory:
    total: int
    free: int


@dataclass(frozen=True)
class Card:
    """One GPU; `power_watts` are its limit and its default, None where the card does not tell."""

    name: str
    capability: tuple[int, int]
    memory_bytes: int
    free_bytes: int
    power_watts: tuple[int, int] | None = None
    has_mig: bool = False
    links: int = 0
    processes: int = 0


RTX_4080 = Card("NVIDIA GeForce RTX 4080", (8, 9), 16 * GIB, 15 * GIB, (320, 320))


@dataclass(frozen=True)
class DriverOf:
    """A driver that shows these cards, and refuses what a card has not, as the real one does."""

    cards: tuple[Card, ...]
    driver: str = "580.82"
    cuda: int = 13_000

    def nvmlInit(self) -> None:
        if not self.cards:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)

    def nvmlShutdown(self) -> None:
        return None

    def nvmlSystemGetDriverVersion(self) -> str:
        return self.driver

    def nvmlSystemGetCudaDriverVersion(self) -> int:
        return self.cuda

    def nvmlDeviceGetCount(self) -> int:
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> object:
        return self.cards[index]

    def nvmlDeviceGetName(self, handle: object) -> str:
        return _card(handle).name

    def nvmlDeviceGetMemoryInfo(self, handle: object) -> Memory:
        return Memory(_card(handle).memory_bytes, _card(handle).free_bytes)

    def nvmlDeviceGetCudaComputeCapability(self, handle: object) -> tuple[int, int]:
        return _card(handle).capability

    def nvmlDeviceGetPowerManagementLimit(self, handle: object) -> int:
        return _watts(handle)[0] * 1000

    def nvmlDeviceGetPowerManagementDefaultLimit(self, handle: object) -> int:
        return _watts(handle)[1] * 1000

    def nvmlDeviceGetMigMode(self, handle: object) -> Sequence[int]:
        if not _card(handle).has_mig:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return (1, 1)

    def nvmlDeviceGetNvLinkState(self, handle: object, link: int) -> int:
        if not _card(handle).links:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return int(link < _card(handle).links)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: object) -> Sequence[object]:
        return [object()] * _card(handle).processes


def _card(handle: object) -> Card:
    assert isinstance(handle, Card)
    return handle


def _watts(handle: object) -> tuple[int, int]:
    watts = _card(handle).power_watts
    if watts is None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    return watts
