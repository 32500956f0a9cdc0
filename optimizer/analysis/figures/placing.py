"""Where ticks of log axes and labels of points go, so that none covers another."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

_LETTER, _LINE = 6.3, 14.0  # px of a letter and of a line, at the size that labels are written in
_GAP = 8.0  # px from a point to its label
_MARK = 6.0  # px from a point's middle to its edge
_MOST_POWERS = 4  # of ten on an axis that has room for others
_STEPS = ((10, 20, 50), (10, 12, 15, 20, 30, 50, 70), range(10, 100, 5))  # tenths of a power of ten
_TENTHS = range(10, 100)


class Box(NamedTuple):
    """A rectangle in px."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: "Box") -> float:
        """Return the area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(width, 0.0) * max(height, 0.0)


class Side(NamedTuple):
    """Where a label stands beside its point: how it is aligned, and how far it is moved, in px."""

    align: Literal["left", "center", "right"]
    dx: float
    dy: float


SIDES = (
    Side("left", _GAP, -9.0),
    Side("left", _GAP, 10.0),
    Side("right", -_GAP, -9.0),
    Side("right", -_GAP, 10.0),
    Side("center", 0.0, -20.0),
    Side("center", 0.0, 21.0),
)


def log_ticks(low: float, high: float) -> list[float]:
    """Return round numbers in [low, high], low > 0: few, and still three where the two lie close together."""
    if len(powers := _ticks(low, high, (10,))) > _MOST_POWERS:
        return powers
    return next((found for steps in _STEPS if len(found := _ticks(low, high, steps)) >= 3), _ticks(low, high, _TENTHS))


def _ticks(low: float, high: float, tenths: Sequence[int]) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    # One division at the end: 3 · 10⁻³ is not 0.003.
    found = [n * 10.0 ** (p - 1) if p >= 1 else n / 10.0 ** (1 - p) for p in powers for n in tenths]
    return [tick for tick in found if low <= tick <= high]


def sides_of(points: Sequence[tuple[float, float]], labels: Sequence[str], width: float) -> list[int]:
    """Return for each point, in px from the left and the top, the position in `SIDES` of the best place for its label.

    The best is the one that covers least of points, and of labels that have their place already, inside of `width`.
    """
    taken = [Box(x - _MARK, y - _MARK, x + _MARK, y + _MARK) for x, y in points]
    found = []
    for point, label in zip(points, labels, strict=True):
        boxes = [_box(point, label, side) for side in SIDES]
        covered = [sum(box.overlap(other) for other in taken) + _outside(box, width) for box in boxes]
        best = covered.index(min(covered))
        taken.append(boxes[best])
        found.append(best)
    return found


def _box(point: tuple[float, float], label: str, side: Side) -> Box:
    length = _LETTER * len(label)
    x, y = point[0] + side.dx, point[1] + side.dy
    left = x - {"left": 0.0, "center": length / 2.0, "right": length}[side.align]
    return Box(left, y - _LINE / 2.0, left + length, y + _LINE / 2.0)


def _outside(box: Box, width: float) -> float:
    return (max(-box.left, 0.0) + max(box.right - width, 0.0)) * _LINE
