# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What does quality cost?
#
# For every use case there is a *frontier*: the candidates to which nothing is both cheaper and as good. Off it, money
# or quality is given away. This page draws the frontier as it is believed just after the ledger's last call, measures
# what of it can be measured, and marks what really served.
#
# It reads the ledger that `ORCHESTRA_LEDGER` names, else `optimizer.db`, else a demo's, and changes nothing in it; the
# settings are the built-in ones, or those of a file: `read_records(ledger, "optimizer.yaml")`. It needs `pip install
# 'orchestra-optimizer[notebooks]'`.

# %%
import os

import polars as pl

from optimizer.analysis import figures
from optimizer.analysis.book import find_ledger
from optimizer.analysis.questions.frontier import in_words, measured, read_frontier
from optimizer.analysis.questions.reading import read_records, tidy

figures.draw_offline()
pl.Config(tbl_rows=70, tbl_cols=12)
found = read_frontier(read_records(find_ledger(os.environ)))
print(in_words(found))

# %% [markdown]
# That is the answer. Numbers in brackets are believed qualities, from 0 to 1, with their 95% intervals and the ratings
# behind them (older ones count for less). Where an interval is wide, few have rated that model in that use case, and
# its place is a guess from how it does elsewhere and from public benchmarks.
#
# ## The frontier, as it is believed
#
# One panel for each use case. Costs are those of a call of the use case's mean length at the prices in force, on a
# logarithmic axis: each step to the right is many times dearer. The diamond is the mix that served so far, at what is
# believed *now*; if a model that served much has turned out bad, or become bad, the diamond lies low.

# %%
figures.frontier(found.points)

# %% [markdown]
# Reading it: on the steep part of a line, a little money buys much quality; on the flat part, much money buys little.
# The floor (`average:97%` by default, of the incumbent's quality) picks the place on the line;
# [floor_and_half_life](floor_and_half_life.ipynb) asks which floor is right.

# %%
tidy(found.beliefs.select("use_case", "model", "role", "usd_per_call", "quality", "low", "high", "ratings", "served"))

# %% [markdown]
# ## What of it can be measured
#
# Beliefs borrow from other use cases and from benchmarks. An estimate that borrows nothing weighs each logged call by
# how likely its draw was ([another_policy](another_policy.ipynb) explains it), and says what it would have cost and
# earned to give *all* calls to one model. It needs the equivalent of a hundred rated calls of that model, so most
# points cannot be measured; those that can are here, in both directions with 95% limits.

# %%
points = measured(found)
figures.frontier(points)

# %%
tidy(points)

# %% [markdown]
# An empty figure means that the log can measure no model in both cost and quality: it holds too few ratings yet.
#
# ## What this page cannot tell
#
# - *Whether ratings are right.* Quality here is what raters said. Where users rather complain than praise, all points
#   sink together, which leaves the frontier's shape but not its height.
# - *Which calls need the better model.* A point is a mean over all calls of a use case. Two models with the same mean
#   may fail at different calls; segments (`segments` in the settings) tell some of them apart.
# - *Latency.* A model on the frontier may be too slow for you: set `max_latency_ms`, and it is left out.
# - *What a mix could do.* Sharing calls between two models reaches every point between theirs. So a model may be on
#   the line here, beaten by no other single one, and still be beaten by a mix of its neighbours; the optimizer looks
#   for such mixes.
