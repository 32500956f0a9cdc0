"""Rows of a made ledger: one use case's calls, attempts and ratings, from arrays to tuples in the tables' order."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.made_evidence import Replies, Scores
from optimizer.decision.belief import BoolArray, FloatArray, IntArray
from optimizer.routes import Route

EXPLORATION = 0.02

Rows = Iterator[tuple[Any, ...]]
Texts = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Drawn:
    """Calls of one use case, how they were decided, and ids; models are positions in all models."""

    ids: list[str]
    at_us: IntArray
    context_tokens: IntArray
    digest: Texts
    documents: list[tuple[str, str]]
    drawn: IntArray
    served_by: IntArray
    propensity: FloatArray
    held_out: BoolArray
    overridden: Texts
    session: Texts


@dataclass(frozen=True)
class Came:
    """What came of calls: the attempt that failed first, where one did, and the one that served, where one did."""

    failed: BoolArray
    failed_kind: Texts
    failed_nano_usd: FloatArray  # NaN is unknown
    answered: BoolArray
    model: IntArray
    reused: BoolArray
    input_tokens: FloatArray  # NaN is unknown
    cached_tokens: FloatArray
    output_tokens: FloatArray
    nano_usd: FloatArray
    latency_ms: FloatArray
    failed_model: IntArray

    def replies(self) -> Replies:
        return Replies(
            self.failed & ~self.reused, self.failed_model, self.answered & ~self.reused, self.model, self.input_tokens,
            self.cached_tokens, self.output_tokens, self.nano_usd, self.latency_ms, self.latency_ms / 4.0,
        )  # fmt: skip


@dataclass(frozen=True)
class Part:
    """The rows of one use case's calls in one chunk."""

    route: Route
    models: list[str]
    drawn: Drawn
    came: Came
    scores: Scores

    def calls(self) -> Rows:
        drawn, route = self.drawn, self.route
        names = np.array(self.models, dtype=object)
        tenants = np.array(["acme", "globex", "initech", None], dtype=object)[np.arange(len(drawn.ids)) % 4]
        known = np.where(np.isnan(drawn.propensity), None, drawn.propensity.astype(object))
        for row in zip(
            drawn.ids, drawn.at_us.tolist(), drawn.session, tenants, drawn.digest, names[drawn.served_by],
            names[drawn.drawn], known, drawn.overridden, drawn.held_out.tolist(), drawn.context_tokens.tolist(),
            strict=True,
        ):  # fmt: skip
            call_id, at_us, session, tenant, digest, model, drawn_model, propensity, overridden, held, tokens = row
            yield (
                call_id, at_us, route.name, "", session, tenant, None, digest, model, drawn_model, propensity,
                overridden, held, str(route.objective), None, 256.0, EXPLORATION, tokens, "0123456789ab",
                "ba9876543210", "", None, None, None,
            )  # fmt: skip

    def attempts(self) -> Rows:
        came, drawn, names = self.came, self.drawn, np.array(self.models, dtype=object)
        columns = (came.input_tokens, came.cached_tokens, came.output_tokens, came.nano_usd)
        whole = [np.where(np.isnan(c), None, np.nan_to_num(c).astype(np.int64).astype(object)) for c in columns]
        of_failed = np.where(np.isnan(came.failed_nano_usd), None, 0)
        source = np.where(np.isnan(came.nano_usd), "unknown", "priced").tolist()
        for row in zip(
            drawn.ids, drawn.at_us.tolist(), came.failed.tolist(), came.failed_kind, of_failed, came.answered.tolist(),
            names[came.model], names[drawn.served_by], came.latency_ms.tolist(), came.reused.tolist(), *whole, source,
            strict=True,
        ):  # fmt: skip
            call_id, at_us, failed, kind, failed_usd, answered, model, chosen, ms, reused, *counts, priced = row
            if failed:
                how = "unknown" if failed_usd is None else "priced"
                yield (
                    call_id, 0, chosen, "portkey", at_us + 500_000, False, 500, kind, None, None, None, None, None,
                    None, None, None, failed_usd, how, None,
                )  # fmt: skip
            if answered:
                n_input, n_cached, n_output, nano_usd = counts
                n_thought = None if n_output is None else n_output // 3
                yield (
                    call_id, int(failed), model, "portkey", at_us + 1_000_000, True, 200, None, None, model, ms,
                    ms / 4.0, n_input, n_cached, n_output, n_thought, nano_usd, priced,
                    "cache" if reused else None,
                )  # fmt: skip

    def feedback(self) -> Rows:
        scores, ids, at_us = self.scores, self.drawn.ids, self.drawn.at_us
        given = [None if gone else value for gone, value in zip(scores.withdrawn, scores.user.tolist(), strict=True)]
        for i in np.flatnonzero(scores.by_user | scores.by_judge | scores.by_check).tolist():
            if scores.by_judge[i]:
                yield ids[i], "quality", "judge:claude-opus-5", float(scores.judge[i]), int(at_us[i]) + 3_000_000
            if scores.by_user[i]:
                yield ids[i], "quality", "user", given[i], int(at_us[i] + scores.lag_us[i])
            if scores.by_check[i]:
                yield ids[i], "valid_json", "check", float(scores.valid[i]), int(at_us[i]) + 1_000_000
