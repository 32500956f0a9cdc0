# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Which floor, and which half-life?
#
# Two numbers steer the optimizer most. The *floor* (`objective: average:97%`) says how much of the incumbent's quality
# has to be kept. The *half-life* (`half_life: 14d`) says how fast old ratings lose their weight. This page asks the
# ledger what other choices would have done, and, since a ledger knows little of what it never tried, replays them on a
# table where every answer of every model is known.
#
# It reads the ledger that `ORCHESTRA_LEDGER` names, else `optimizer.db`, else a demo's, and changes nothing in it; the
# settings are the built-in ones, or those of a file: `read_records(ledger, "optimizer.yaml")`. It needs `pip install
# 'orchestra-optimizer[notebooks]'`.

# %%
import os
from datetime import timedelta

import polars as pl

from optimizer.analysis import figures
from optimizer.analysis.book import find_ledger
from optimizer.analysis.questions import other_policies as policies
from optimizer.analysis.questions.floor_and_half_life import in_words
from optimizer.analysis.questions.reading import read_records, tidy
from optimizer.simulation.floors import example_table, replay_floors, replay_half_lives

figures.draw_offline()
pl.Config(tbl_rows=40, tbl_cols=12)
records = read_records(find_ledger(os.environ))
floors, lives = ("logged", "average:90%", "average:100%"), [timedelta(hours=6), timedelta(days=14)]
found = policies.run_dry(records, floors, half_lives=lives)
replayed = replay_floors(example_table())
aged = replay_half_lives(example_table())
print(in_words(found, replayed, aged))

# %% [markdown]
# That is the answer. *Kept* is the mean quality as a share of the incumbent's, *saved* the share of the incumbent's
# cost. On the ledger, differences are from what really served ([another_policy](another_policy.ipynb) explains them);
# floors that share a line would have chosen alike, because there some cheap model is better than any of these floors
# asks.
#
# ## The floor, where the truth is known
#
# The table that ships has three use cases, five *invented* models, and every model's answer to every prompt, so a
# policy can be replayed exactly, learning as it goes, from nothing. The incumbent is the best single model. Limits are
# over the order of the prompts.

# %%
figures.frontier(replayed.filter(~pl.col("happened")))

# %%
tidy(replayed.select("label", "usd_per_call", "usd_low", "usd_high", "quality", "kept", "saved"))

# %% [markdown]
# Reading it: the first percents of quality given up save the most; after that, each further one saves less. At 100%
# there is nothing to give up, and nobody cheaper is certain to be as good. A short replay may end a little below its
# floor: trying models costs quality, and is made up for only later.
#
# How to choose: find the point from which on the line gets flat, and ask whether your users would notice that
# difference. For a use case where a bad answer is dear, ask it of every choice rather than of the mean
# (`required_quality: 97%`), which saves less.
#
# ## The floor, on the ledger

# %%
figures.policies_beside(policies.differences(found))

# %%
for line in policies.refusals(found):
    print(line, end="\n\n")
print(f"Estimated or refused: {len(found.found.policies)} questions in all.")

# %% [markdown]
# ## The half-life
#
# With a half-life of 14 days, a rating of two weeks ago weighs half of a new one, one of four weeks ago a quarter.
# Short, and models are forgotten before enough is known of them; long, and a model that gets better or worse slowly is
# judged by what it was. (A model that changes *suddenly* raises an alarm, and what was known of it counts a tenth at
# once, whatever the half-life: [drift_and_incidents](drift_and_incidents.ipynb).)
#
# The ledger can hardly tell: it would have to be several half-lives old, and to have lived through a change. So this
# is replayed in two worlds, each six hundred prompts of the table at five an hour: in one, models stay as they are; in
# the other, every model but the incumbent loses half of its quality by the end, in six steps.

# %%
figures.frontier(aged.filter(~pl.col("happened")))

# %%
tidy(aged.select("use_case", "label", "usd_per_call", "usd_low", "usd_high", "quality", "kept", "saved"))

# %% [markdown]
# What matters is how many ratings stand inside a half-life. Here some thirty calls come in six hours, for fifteen
# pairs of use case and model: too few to know anybody, so the incumbent serves, and little is saved. Once there are
# enough, a longer half-life makes little difference, even in the world that declines, since each step shows in new
# ratings soon. So leave it at 14 days, unless far fewer than a hundred calls are rated in that time; then make it
# longer.
#
# ## What this page cannot tell
#
# - *Your floor.* Where the line bends depends on your models and prompts; the table is invented. Make one of your own
#   from logs ([your_own_logs](your_own_logs.ipynb)), and replay that: `optimizer replay TABLE --objective average:95%
#   --objective average:97%`.
# - *What users notice.* Ratings say what raters say, not who leaves.
# - *Other kinds of change.* Two worlds are not all worlds: models also improve, and new ones come.
