"""Whether the configuration file has changed, looked at once a second at most, however often it is asked."""

from collections.abc import Iterator
from time import monotonic, sleep

from optimizer.errors import InvalidSettings
from optimizer.settings import Origin, Settings

LOOK_EVERY_S = 1.0
_TRIES, _PAUSE_S = 5, 0.01


class Watch:
    """Knows the file as it was when it was last looked at; a file that cannot be seen now has not changed."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._stamp = origin.stamp
        self._emptied: tuple[int, int] | None = None
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
        if stamp[1] == 0 and stamp != self._emptied:  # whoever writes a file anew empties it first
            self._emptied = stamp
            return False
        self._stamp = stamp
        return True

    def read(self) -> Settings:
        """Return the settings of the file as it stands, once nobody has written to it meanwhile.

        Raises
        ------
        InvalidSettings
            If they are wrong, or if somebody goes on writing.
        """
        first = self._origin.stamp
        for left in reversed(range(_TRIES)):
            stamp = self._origin.stamp
            is_emptied = stamp is not None and stamp[1] == 0 and stamp != self._emptied
            if is_emptied and (left or stamp != first):
                sleep(_PAUSE_S)
                continue
            settings = self._origin.load()
            if self._origin.stamp == stamp:
                return settings
        raise InvalidSettings(self._origin.name, ("is being written just now",))


def settled_at_start(before: Settings, after: Settings) -> Iterator[str]:
    """Yield what must be said of a change that does not, or not wholly, count without a restart."""
    for key in ("database_url", "journal_dir"):
        if getattr(before, key) != getattr(after, key):
            yield f"{key} has changed: it counts from the next start on"
    changed = [name for name in after.use_cases if before.reward_rule(name) != after.reward_rule(name)]
    if changed:
        yield f"What counts as quality has changed for {', '.join(changed)}: run `optimizer rebuild`"
