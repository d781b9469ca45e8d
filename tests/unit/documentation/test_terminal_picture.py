"""The recording shows each screen in its turn, and the last one where nothing moves."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from documentation.terminal_picture import Cell, Screen, animated_svg

SCREENS = [
    Screen((tuple(map(Cell, "$ vbatch up")),), 1.0),
    Screen(((Cell("a", "green"), Cell("<", "default", is_bold=True)),), 3.0),
]


def test_the_picture_is_svg_with_one_group_a_screen():
    picture = ET.fromstring(animated_svg(SCREENS, 80, "A <title>"))
    groups = picture.findall("{http://www.w3.org/2000/svg}g")
    assert ["".join(group.itertext()) for group in groups] == ["$ vbatch up", "a<"]
    assert [group.get("class") for group in groups] == ["s n0", "s n1 last"]


def test_each_screen_is_seen_for_its_share_of_the_time():
    picture = animated_svg(SCREENS, 80, "title")
    assert "animation-duration:4.00s" in picture
    assert "@keyframes k0{0.00%{visibility:visible}25.00%{visibility:hidden}}" in picture
    assert "@keyframes k1{0%{visibility:hidden}25.00%{visibility:visible}}" in picture
