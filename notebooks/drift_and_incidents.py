# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What went wrong, and was it noticed?
#
# Models get worse without a word, gateways refuse a key for a quarter of an hour, bills stop matching the price list.
# This page looks for all of that in the ledger's last seven days, and says what the optimizer did about it.
#
# It reads the ledger that `ORCHESTRA_LEDGER` names, else `optimizer.db`, else a demo's, and changes nothing in it; the
# settings are the built-in ones, or those of a file: `read_records(ledger, "optimizer.yaml")`. It needs `pip install
# 'orchestra-optimizer[notebooks]'`.

# %%
import os

import polars as pl

from optimizer.analysis import figures
from optimizer.analysis.book import find_ledger
from optimizer.analysis.questions import drift, incidents
from optimizer.analysis.questions.reading import read_records, tidy

figures.draw_offline()
pl.Config(tbl_rows=40, tbl_cols=12)
records = read_records(find_ledger(os.environ))
print(incidents.in_words(records))

# %% [markdown]
# That is the answer. If this is a demo's ledger, the truth is known: at noon a model's price fell, at half past two
# one model failed on nearly half of its calls for half an hour (which only shows if calls went to it), from four
# o'clock on Portkey refused the key for a quarter of an hour, and at six `gpt-5.6-luna` silently got worse. Which of
# these can be seen above?
#
# ## Drift: is a model still what it was?
#
# For every model, each recent moment is tried as the moment of a change: ratings since then are held against ratings
# before, in units of what chance alone does (standard deviations). Past 4.25 of them an alarm is raised, once; a model
# that stays as it is raises one in a hundred days or so. From then on, whatever was known of it before counts a tenth,
# so it is judged by what it does now.
#
# How close each model is to an alarm, since its last one if it had one. Above 0 is a change for the better, below for
# the worse:

# %%
tidy(drift.closeness(records).head(12))

# %% [markdown]
# The ratings of the models that alarms name, or, without any alarm, of the one that is closest to one. Points are
# means of two hours, lines their 95% limits:

# %%
figures.ratings_moved(drift.ratings_over_time(records, drift.suspects(records)), drift.alarm_times(records))

# %% [markdown]
# The moment that an alarm names is an estimate, a quarter of an hour at best, and the more ratings there are, the
# better. The change from before to after in the answer above is a little flattering to the alarm, as the moment was
# picked to make it large. How long it takes to notice hangs on ratings, not on calls: with one call in ten rated it
# takes ten times as long.
#
# What became of the model afterwards hangs on what is asked. Where the floor is a mean over several use cases, a cheap
# model that got worse may go on serving calls that others make up for.
#
# ## Failures: who fell over, and who stood in?
#
# One row of colours is an hour: attempts that failed, by kind, and calls that another model or another gateway then
# served. Three failures of one kind at one gateway, each within half an hour of the last, count as one incident in the
# answer above.

# %%
figures.trouble(incidents.failures_by_hour(records))

# %% [markdown]
# After a few failures in a row a breaker keeps calls away from a model or a gateway, and lets one try again from time
# to time. So an outage shows as few failures and many calls served by others, and its end in the ledger is the last
# *try* that failed, not the moment that the gateway came back.

# %%
for incident in incidents.incidents(records):
    print(incident)
print(f"These are all {len(incidents.incidents(records))}.")

# %% [markdown]
# ## Bills: was the price what the list says?
#
# Each attempt's tokens at the price list of that moment, beside what was charged: `reported` costs are the gateway's
# word, `priced` ones were computed when the call was made, from the price that the running optimizer held to be in
# force. A ratio far from 1 is a price that changed, a discount, or a mistake, and worth a question.

# %%
tidy(incidents.bills(records))

# %% [markdown]
# ## What this page cannot tell
#
# - *Why.* A model may answer worse because its provider changed it, because prompts got harder, or because raters
#   changed their minds. If every model's ratings fall at once, suspect the prompts or the raters.
# - *What nobody rated or called.* A model without calls cannot be seen to fail, one without ratings cannot be seen to
#   get worse.
# - *Streams that broke late.* A reply that broke off after its first token counts as failed, though its caller saw a
#   part.
# - *Slow drift.* A decline that takes weeks is followed by beliefs as old ratings fade (`half_life`), and raises no
#   alarm.
#
# On the command line, alarms and breakers stand in `optimizer report`, and every attempt of a call in `optimizer
# explain CALL_ID`.
