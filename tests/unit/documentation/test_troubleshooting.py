"""The page that people open with a message in hand knows every code there is."""

from __future__ import annotations

import re

from tests.support.paths import ROOT
from vbatch.contracts.failures import FileFault, RequestFault
from vbatch.gateway.core.disk_guard import Space, Watermark, check_space
from vbatch.gateway.core.refusals import Refusal, batch_over, file_not_jsonl, file_too_large
from vbatch.gpu_runner.core.command import Device, DeviceKind
from vbatch.gpu_runner.core.fit import GIB, ModelShape, fit

PAGE = " ".join((ROOT / "docs" / "troubleshooting.md").read_text().split())


def test_every_code_of_a_failed_file_or_request_is_explained():
    codes = {*FileFault, *RequestFault}
    assert [code for code in codes if not re.search(rf"\| [^|]*`{code}`[^|]* \|", PAGE)] == []


def test_the_messages_of_refusals_are_those_of_the_server():
    refusals = (file_not_jsonl(), file_too_large(), batch_over("cancel", "completed"))
    assert [refusal.message for refusal in refusals if refusal.message not in PAGE] == []


def test_the_message_of_a_full_disk_is_that_of_the_server():
    try:
        check_space([(Space("files", 1, 100), Watermark(50, 0.0))], 0)
    except Refusal as refusal:
        pattern = re.sub(r"\d+ bytes", "…", refusal.message).split(". ")[0].removesuffix(".")
        assert pattern in PAGE


def test_the_example_of_a_model_that_does_not_fit_is_what_the_runner_says():
    olmo = ModelShape(14_600_000_000, 32, 32, 128, 4096)
    said = fit(olmo, {}, Device(DeviceKind.NVIDIA, "card", 16 * GIB), 0).refusal()
    assert said.split(";")[0] in PAGE
