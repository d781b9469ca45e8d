"""`python borrow.py OTHER_PYTHON`: what this environment lacks is imported from that of another Python.

Both have the same version. torch is so large that the trainers share the engine's.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

ASK = "import sysconfig; print(sysconfig.get_path('purelib'))"


def main(other: str) -> None:
    lender = subprocess.run([other, "-c", ASK], check=True, capture_output=True, text=True).stdout.strip()
    (Path(sysconfig.get_path("purelib")) / "borrowed.pth").write_text(f"{lender}\n")


if __name__ == "__main__":
    main(sys.argv[1])
