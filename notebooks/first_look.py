# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # First look at a ledger
#
# Where did the money go, what was chosen and why, and what is believed?
#
# This page reads one ledger and changes nothing in it: the one that `ORCHESTRA_LEDGER` names, a SQLite file or a
# database URL, else `optimizer.db`, else a demo's. `optimizer demo` makes a good first one, a **simulated** day of
# 6,000 calls. The charts need `pip install 'orchestra-optimizer[notebooks]'`.

# %%
import os

import polars as pl

from optimizer.analysis import figures
from optimizer.analysis.book import find_ledger, in_words, read_book
from optimizer.analysis.questions.reading import open_frames, tidy
from optimizer.analysis.questions.spending import attributed

figures.draw_offline()
pl.Config(tbl_rows=70, tbl_cols=12)
ledger = find_ledger(os.environ)
book = read_book(ledger)

print(
    f"{book.where}, until {book.at:%Y-%m-%d %H:%M} UTC; tags of its calls: {dict(book.example.selection.request.tags)}"
)
print()
print(in_words(book))

# %% [markdown]
# Those three lines are the answer. The rest of this page is how we know.

# %% [markdown]
# ## Where did the money go?
#
# Each bar is what a use case's *baseline*, the model that savings are measured against, would have cost; the orange
# part was paid all the same, the percentage was saved.

# %%
figures.money(book.tables.money)

# %%
tidy(book.tables.money.drop("baseline"))

# %% [markdown]
# `saved_usd` is what the baseline would have cost on each call, less what was paid. Where a holdout ran or the
# baseline was drawn often enough, that was measured; elsewhere each call is priced, and the limits say how far that
# may be off:

# %%
print(book.report.saving.method)

# %% [markdown]
# The limits are about these very calls: what they cost is known, what their baselines would have cost is not.
#
# The dearest pairs of use case and model, for whoever wants to spend less still:

# %%
with open_frames(ledger) as frames:
    dearest = attributed(frames, "use_case", "model").head(10)
tidy(dearest)

# %% [markdown]
# ## What was chosen?
#
# Until enough is known of the incumbent, which is orange, it serves alone; then cheaper models take over where they
# are believed good enough. A small share stays on the incumbent for good, as a comparison.

# %%
figures.share_over_time(book.tables.share_over_time)

# %% [markdown]
# ## Why?
#
# Every call keeps the whole distribution that it was drawn from, so any of them can be asked. This one is late, was
# drawn, went to another model than the incumbent, and was rated, if the ledger has such a call. `optimizer explain
# CALL_ID` says the same about any other.

# %%
print(book.example.selection.explain())

# %% [markdown]
# Under `average:97%` the floor is asked of the mean over the use cases with the same incumbent, not of each one: a
# model may serve below the dashed line of its own use case below, paid for by others that lie above theirs. Where that
# is not wanted, `required_quality: 97%` in the use case's settings asks it of every choice there.

# %% [markdown]
# ## What is believed?
#
# A point is the quality that is believed of a model, the line its 95% interval. Long lines are models that hardly
# anybody has rated: their place comes from what is known of the model elsewhere, of the use case, and from public
# benchmarks. The cheapest model is on top, so choosing well means staying high up and right of the dashed line.

# %%
figures.beliefs(book.tables.beliefs)

# %%
tidy(book.tables.beliefs.drop("role", "floor"))

# %% [markdown]
# ## What this page cannot tell
#
# Ratings are not the truth. Few calls are rated; where users rather complain than praise, every model looks worse than
# it is, and the floor, which is relative to the incumbent's ratings, sinks with them. And a belief about a model
# without ratings is a guess that the first twenty ratings may overturn.
