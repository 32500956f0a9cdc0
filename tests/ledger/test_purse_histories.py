"""Any history of orders leaves what a ledger kept by hand would, and never reserves beyond a limit."""

from collections.abc import Callable
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, update

from optimizer.decision.limits import EVERYTHING, Scope, SpendingLimits, Wanted
from optimizer.errors import LimitReached
from optimizer.ledger.database import Database
from optimizer.ledger.purse import Purse
from optimizer.ledger.reservations import Reservation
from optimizer.ledger.tables import budgets, reservations
from tests.ledger.factory import NOON

FEW = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

CHAT, OTHERS = Scope("use_case", "chat"), Scope("tenant", "*")
LIMITS = SpendingLimits({EVERYTHING: {"hour": 100, "day": 250}, CHAT: {"hour": 60}, OTHERS: {"day": 90}})

callers = st.tuples(st.sampled_from(("chat", "code")), st.sampled_from((None, "a", "b")))
amounts = st.integers(0, 60)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), callers, amounts, amounts),
        st.tuples(st.just("reserve"), callers, amounts, amounts),
        st.tuples(st.just("settle"), st.integers(0, 9), st.none() | amounts),
        st.tuples(st.just("expire"), st.integers(0, 9)),
        st.tuples(st.just("extend"), st.integers(0, 9)),
        st.tuples(st.just("charge"), callers, amounts),
        st.tuples(st.just("hours pass"), st.integers(1, 20)),
    ),
    max_size=25,
)

Key = tuple[str, str, int]  # whose limit, kind of window, number of the hour or day


class Model:
    """A ledger kept by hand: sums over lists, written without a look at the code's own."""

    def __init__(self) -> None:
        self.hour = 0
        self.spent: list[tuple[list[Key], int]] = []
        self.reserved: dict[str, tuple[list[Key], int]] = {}
        self.expired: set[str] = set()

    def limits(self, use_case: str, tenant: str | None) -> dict[Key, int]:
        day = (NOON.hour + self.hour) // 24
        found = {("all", "hour", self.hour): 100, ("all", "day", day): 250}
        found |= {("chat", "hour", self.hour): 60} if use_case == "chat" else {}
        return found | ({(f"tenant {tenant}", "day", day): 90} if tenant else {})

    def left(self, key: Key, limit: int) -> int:
        self.free()
        taken = [*self.spent, *self.reserved.values()]
        return limit - sum(amount for keys, amount in taken if key in keys)

    def free(self) -> None:
        self.reserved = {name: found for name, found in self.reserved.items() if name not in self.expired}

    def granted(self, use_case: str, tenant: str | None, most: int, least: int) -> int | None:
        rest = min(max(self.left(key, limit), 0) for key, limit in self.limits(use_case, tenant).items())
        return min(most, rest) if rest >= least else None


class Run:
    """The purse and the model, side by side."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.model = Model()
        self.purse = Purse(database, LIMITS, clock=lambda: NOON + timedelta(hours=self.model.hour))
        self.held: list[tuple[Reservation, list[Key]]] = []

    def reserve(self, caller: tuple[str, str | None], a: int, b: int) -> None:
        most, least = max(a, b), min(a, b)
        expected = self.model.granted(*caller, most, least)
        try:
            made = self.purse.reserve(Wanted(most, least, *caller)).result()
        except LimitReached:
            assert expected is None
            return
        assert made.granted_nano_usd == expected
        keys = list(self.model.limits(*caller))
        self.model.reserved[made.id] = keys, made.granted_nano_usd
        self.held.append((made, keys))

    def settle(self, number: int, cost: int | None) -> None:
        if number < len(self.held):
            reservation, keys = self.held.pop(number)
            self.purse.settle(reservation, cost).result()
            self.model.free()
            self.model.reserved.pop(reservation.id, None)
            self.model.spent.append((keys, reservation.granted_nano_usd if cost is None else cost))

    def expire(self, number: int) -> None:
        if number < len(self.held):
            reservation, keys = self.held[number]
            with self.database.writing() as connection:
                row = reservations.c.reservation_id == reservation.id
                connection.execute(update(reservations).where(row).values(expires_at_us=1))
            self.held[number] = Reservation(reservation.id, reservation.granted_nano_usd, reservation.windows, 1), keys
            self.model.expired.add(reservation.id)

    def extend(self, number: int) -> None:
        if number < len(self.held):
            reservation, keys = self.held[number]
            extended = self.purse.extend(reservation).result()
            self.held[number] = extended, keys
            if reservation.id in self.model.reserved:
                self.model.expired.discard(reservation.id)
            self.model.free()

    def charge(self, caller: tuple[str, str | None], cost: int) -> None:
        self.purse.charge(*caller, cost).result()
        self.model.free()
        self.model.spent.append((list(self.model.limits(*caller)), cost))

    def check(self) -> None:
        for status in self.purse.status():
            who = {"everything": "all", "use_case": "chat", "tenant": f"tenant {status.scope.name}"}[status.scope.kind]
            number = self.model.hour if status.window == "hour" else (NOON.hour + self.model.hour) // 24
            key = who, status.window, number
            assert status.spent_nano_usd == sum(amount for keys, amount in self.model.spent if key in keys)
            standing = (found for name, found in self.model.reserved.items() if name not in self.model.expired)
            assert status.reserved_nano_usd == sum(amount for keys, amount in standing if key in keys)


@FEW
@given(steps)
def test_a_purse_is_what_a_ledger_kept_by_hand_is(database: Database, history: list[tuple[object, ...]]) -> None:
    with database.writing() as connection:
        for table in (budgets, reservations):
            connection.execute(delete(table))
    run = Run(database)
    for name, *arguments in history:
        if name == "hours pass":
            run.model.hour += arguments[0]  # type: ignore[operator]
        else:
            act: Callable[..., None] = getattr(run, str(name))
            act(*arguments)
        run.check()
    run.purse.close()
