"""Whether the configuration file has changed, looked at once a second at most, however often it is asked."""

from collections.abc import Iterator
from time import monotonic

from optimizer.settings import Origin, Settings

LOOK_EVERY_S = 1.0


class Watch:
    """Knows the file as it was when it was last looked at; a file that cannot be seen now has not changed."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._stamp = origin.stamp
        self._next_look = monotonic() + LOOK_EVERY_S

    def has_changed(self) -> bool:
        """Return whether the file is another one than at the last look; true once for every change."""
        now = monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + LOOK_EVERY_S
        stamp = self._origin.stamp
        if stamp is None or stamp == self._stamp:
            return False
        self._stamp = stamp
        return True


def settled_at_start(before: Settings, after: Settings) -> Iterator[str]:
    """Yield what must be said of a change that does not, or not wholly, count without a restart."""
    for key in ("database_url", "journal_dir"):
        if getattr(before, key) != getattr(after, key):
            yield f"{key} has changed: it counts from the next start on"
    changed = [name for name in after.use_cases if before.reward_rule(name) != after.reward_rule(name)]
    if changed:
        yield f"What counts as quality has changed for {', '.join(changed)}: run `optimizer rebuild`"
