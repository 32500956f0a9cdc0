# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Would another policy have been better?
#
# A policy is a rule by which a model is chosen for each call. One served; others might have been cheaper, or better
# rated. This page estimates what they would have cost and earned on the calls of the ledger's last seven days, without
# making a single call, and refuses where the ledger does not know.
#
# It reads the ledger that `ORCHESTRA_LEDGER` names, else `optimizer.db`, else a demo's, and changes nothing in it; the
# settings are the built-in ones, or those of a file: `read_records(ledger, "optimizer.yaml")`. It needs `pip install
# 'orchestra-optimizer[notebooks]'`.

# %%
import os

import polars as pl

from optimizer.analysis import figures
from optimizer.analysis.book import find_ledger
from optimizer.analysis.questions import other_policies as policies
from optimizer.analysis.questions.reading import read_records, tidy

figures.draw_offline()
pl.Config(tbl_rows=30, tbl_cols=12)
records = read_records(find_ledger(os.environ))
found = policies.run_dry(records, policies.USUAL)
print(policies.in_words(found))

# %% [markdown]
# That is the answer. *Configured* is the policy of the settings, decided anew hour by hour on what was known then;
# `average:90%` asks for 90% of the incumbent's quality instead, and so on; *incumbent* is the model that would serve
# without the optimizer; *random* draws evenly. `fixed:<model>` would be one model for everything. *Configured* may
# differ from what served although the settings are the same: here it is decided once an hour, not every few seconds,
# and by the prices of the catalogue.
#
# ## How can a policy be judged that never ran?
#
# For every call, the ledger kept not only who was drawn, but how likely that was. Suppose a call went to a model that
# was drawn once in fifty times, and another policy would always have chosen it: then this one call stands for fifty of
# that policy's. Adding up what such calls cost, each with its weight, gives the policy's own cost on average, whatever
# the truth is. A model of costs and ratings, fitted on earlier calls only, takes most of the noise out (the *doubly
# robust* estimate; `docs/estimators.md` has its record: its 95% limits held in 95% of simulated logs).
#
# Two policies that choose alike on most calls share their luck there, so their *difference* is known more sharply than
# either. Hence the figure shows differences from what served:

# %%
figures.policies_beside(policies.differences(found))

# %%
tidy(policies.differences(found))

# %% [markdown]
# ## What was refused, and why
#
# A weight of fifty is a heavy burden for one call. The *worth* of the log for a policy (its effective sample size)
# says how many calls of the policy itself would tell as much. Under a hundred, no estimate is given:

# %%
for line in policies.refusals(found):
    print(line, end="\n\n")

# %%
diagnostics = policies.diagnostics(found)
figures.worth(diagnostics.filter(pl.col("measure") == "cost"))

# %% [markdown]
# Ratings are rarer than costs, so of quality the log is worth less:

# %%
figures.worth(diagnostics.filter(pl.col("measure") == "quality"))

# %% [markdown]
# The weights themselves, over all calls. In the row *logged*, the policy that really ran, every call stands for
# itself, and what is estimated of it must come out at what really happened; it is there as a check on the method.
# Calls at weight 0 say nothing of a policy, since it would never have chosen so; a handful of calls at high weights
# make an estimate hang on a handful of calls.

# %%
figures.weights(policies.weights(found))

# %% [markdown]
# `off_support` is the share of a policy's choices that could not have been drawn at the time: no weight makes up for
# those. A policy that learns may have chosen such models at some hours only; then the other hours do not speak for
# these, and the estimate is refused as well.

# %%
tidy(diagnostics.filter(pl.col("use_case") == found.whole, pl.col("measure") != "latency").drop("use_case"))

# %% [markdown]
# ## What these numbers cannot tell
#
# - *What was never tried.* The optimizer draws models that lose seldom or not at all, so of policies that would favour
#   them the log knows little. A larger `exploration` in the settings buys that knowledge, at a price.
# - *What ratings hide.* Ratings are taken as what they say. Few calls are rated, and the estimate allows for whom that
#   depends on as far as the ledger knows it (use case, length, model), not for moods. Estimated ratings may lie above
#   the plain mean of the ratings: bad replies are rated more often.
# - *What a policy would have learned.* A policy that is decided anew knows what the ledger knew hour by hour. Had it
#   really run, it would have collected other ratings, and learned other things from them.
# - *What prices were.* Policies are decided by the catalogue's prices. A demo's price cut is known to the demo alone.
# - *Limits are for one question.* Of forty questions with 95% limits, two will seem to show a difference by chance
#   alone.
#
# On the command line: `optimizer evaluate --policy average:90% --policy incumbent`.
