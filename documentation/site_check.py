"""What the built site loads: only files of its own, and each of them is there.

python -m documentation.site_check site    exits 1 and names each reference that is missing or belongs to another host
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADS = {("script", "src"), ("img", "src"), ("source", "src"), ("iframe", "src"), ("link", "href")}
"""The attributes whose files a browser fetches by itself. A link in the text is fetched by its reader."""
CSS_FILE = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")


class _References(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        relation = dict(attrs).get("rel")
        if relation in ("canonical", "prev", "next"):
            return
        self.found += [value for name, value in attrs if value and (tag, name) in LOADS]


def faults(site: Path) -> Iterator[str]:
    """One sentence for each file that a page or a style sheet would load and cannot, or should not."""
    for page in sorted(site.rglob("*.html")):
        yield from _faults_of(site, page, _in_page(page.read_text()))
    for sheet in sorted(site.rglob("*.css")):
        yield from _faults_of(site, sheet, _in_sheet(sheet.read_text()))


def _faults_of(site: Path, page: Path, references: list[str]) -> Iterator[str]:
    for reference in references:
        address = urlsplit(reference)
        if address.scheme == "data" or not address.path:
            continue
        if address.scheme or address.netloc:
            yield f"{page.relative_to(site)} loads {reference} from another host"
        elif address.path.startswith("/"):
            yield f"{page.relative_to(site)} loads {reference}, which works only where the site is served at the root"
        elif not (page.parent / unquote(address.path)).exists():
            yield f"{page.relative_to(site)} loads {reference}, which is not there"


def _in_page(text: str) -> list[str]:
    references = _References()
    references.feed(text)
    return references.found


def _in_sheet(text: str) -> list[str]:
    return [first or second for first, second in CSS_FILE.findall(text)]


def main(site: Path) -> int:
    found = list(faults(site)) if site.is_dir() else [f"{site} is not there"]
    sys.stderr.writelines(f"{fault}\n" for fault in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
