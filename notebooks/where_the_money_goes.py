# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Where does the money go?
#
# Attribution: what was spent for which use case, on behalf of which tenant, on which model, under which tag; how
# unevenly; and whose calls are dearer than others' of the same kind.
#
# It reads the whole ledger that `ORCHESTRA_LEDGER` names (or a folder that `optimizer export` wrote), else
# `optimizer.db`, else a demo's, and changes nothing in it. It needs `pip install 'orchestra-optimizer[notebooks]'`.

# %%
import os

import polars as pl

from optimizer.analysis import figures
from optimizer.analysis.book import find_ledger
from optimizer.analysis.questions import spending
from optimizer.analysis.questions.reading import open_frames, tidy

figures.draw_offline()
pl.Config(tbl_rows=40, tbl_cols=12)
with open_frames(find_ledger(os.environ)) as frames:
    found = spending.read_spending(frames)
    pairs = spending.attributed(frames, "use_case", "tenant")
    models = spending.attributed(frames, "use_case", "model")
print(spending.in_words(found))

# %% [markdown]
# That is the answer. Every attempt counts, failed ones and judges' calls too; a reply that came from the cache cost
# nothing. What a cost is unknown of is left out of the sums, never taken as zero.
#
# ## For which use case?

# %%
figures.spent(found.by["use_case"], "use_case")

# %% [markdown]
# A use case is dear because it has many calls, or because each of them is dear. The two ask for different remedies: a
# cheaper model for the first, shorter prompts for the second.

# %%
tidy(found.by["use_case"])

# %% [markdown]
# ## By which model?

# %%
figures.spent(found.by["model"], "model")

# %% [markdown]
# Pairs of use case and model, the dearest first, are where to look for savings ([frontier](frontier.ipynb) says what
# else those calls could have gone to):

# %%
tidy(models.head(10))

# %% [markdown]
# ## On whose behalf?
#
# Tenants come from the calls themselves (`tenant=` in the library, `x-optimizer-tenant-tag` over HTTP). Where no call
# names one, all money stands in one column.

# %%
figures.spent_by_two(pairs, "use_case", "tenant")

# %% [markdown]
# A tenant may pay more simply because it asks for dearer things. Held against what its own mix of use cases costs at
# everybody's mean, is it still dearer? `ratio` is the answer, with limits that hold for all tenants at once: a ratio
# whose limits leave out 1 is no accident. Its cause may be longer prompts, pinned models, or sessions that go on for
# long.

# %%
tidy(spending.beside_mix(found))

# %% [markdown]
# ## Under which tag?
#
# Tags are free: a feature, a team, an experiment (`tags={"team": "search"}`). One table for each that the ledger has:

# %%
for tag in found.tags:
    print(tidy(found.by[f"tag:{tag}"].drop("n_unknown_costs")))
print(f"Tags in this ledger: {len(found.tags)}.")

# %% [markdown]
# ## How unevenly?
#
# Most money often goes into few calls: long contexts, long answers, dear models. A cap for single calls
# (`max_cost_usd`) acts on the dearest alone.

# %%
tidy(spending.concentration(found))

# %% [markdown]
# ## How do we know the costs?
#
# `reported` costs are the gateway's word. `priced` ones are usage times the price in force when the call was made.
# `estimated` ones stand where a stream was left or a reply broke off, and usage never came.

# %%
tidy(found.by["cost_source"])

# %% [markdown]
# ## What this page cannot tell
#
# - *Whether it was worth it.* Money is half of the story; [frontier](frontier.ipynb) has the other half, and
#   `optimizer savings` says what the same calls would have cost with their baselines.
# - *What is not in the ledger.* Calls that went past the optimizer, discounts on the invoice, and prices that nobody
#   told it.
# - *Shared causes.* "On behalf of" and "for" cut the same money in two ways; their shares must not be added up.
# - *Tomorrow.* The past mix of calls says what was spent. What will be spent, and whether limits will hold, is in
#   `optimizer budgets`.
#
# On your own questions: [docs/analysis.md](../docs/analysis.md) has every table and column.
