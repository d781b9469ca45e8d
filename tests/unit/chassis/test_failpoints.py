"""The list of places and the code say the same."""

from __future__ import annotations

import re

from tests.support.paths import ROOT
from vbatch.chassis.failpoints import Failpoint


def test_every_place_stands_in_the_code_of_its_process():
    folders = {place: place.process.replace("-", "_") for place in Failpoint} | {
        place: "results" for place in Failpoint if place.process == "rebuild"
    }
    sources = [(path, path.read_text()) for path in (ROOT / "services").rglob("src/**/*.py")]
    for place, folder in folders.items():
        found = [path for path, text in sources if re.search(rf"reached\(Failpoint\.{place.name}\)", text)]
        assert found and all(folder in path.parts for path in found), place
