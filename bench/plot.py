"""A bar chart as SVG, for pages that are read where nothing runs."""

from collections.abc import Mapping, Sequence
from html import escape

_COLOURS = ("#6b7280", "#2563eb", "#93c5fd", "#f59e0b")
_WIDTH, _BAR, _GAP, _LEFT = 720, 18, 14, 130


def bars(title: str, groups: Sequence[str], series: Mapping[str, Sequence[float]]) -> str:
    """Horizontal bars, a group after another; `series`: for each name one value of each group."""
    most = max(value for values in series.values() for value in values)
    parts, y = [], 44
    for index, group in enumerate(groups):
        parts.append(_text(0, y + 13, group, "600"))
        for (name, values), colour in zip(series.items(), _COLOURS, strict=False):
            y += _BAR
            width = (_WIDTH - _LEFT - 80) * values[index] / most
            parts.append(_text(0, y + 13, name))
            parts.append(f'<rect x="{_LEFT}" y="{y + 2}" width="{width:.0f}" height="{_BAR - 4}" fill="{colour}"/>')
            parts.append(_text(_LEFT + round(width) + 6, y + 13, f"{values[index]:,.0f}"))
        y += _BAR + _GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" role="img" aria-label="{escape(title)}"'
        f' font-family="sans-serif" font-size="12"><rect width="{_WIDTH}" height="{y}" fill="#ffffff"/>'
    )
    return head + _text(0, 22, title, "600") + "".join(parts) + "</svg>\n"


def _text(x: int, y: int, words: str, weight: str = "400") -> str:
    return f'<text x="{x + 8}" y="{y}" font-weight="{weight}" fill="#111827">{escape(words)}</text>'
