# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What do my own logs say?
#
# No ledger yet, only a CSV file? This page reads plain logs, checks them, and answers two questions with them: what
# would other choices have cost and earned on the calls that were logged; and how would the optimizer have done on
# prompts that several models answered. To try it out, it makes itself two small *synthetic* files, whose truth is
# known; put the path of your own in their place.
#
# It needs `pip install 'orchestra-optimizer[notebooks]'`, and no ledger.

# %%
from pathlib import Path
from tempfile import mkdtemp

import polars as pl

from optimizer.analysis import figures
from optimizer.analysis.questions import own_logs
from optimizer.analysis.questions.reading import tidy
from optimizer.analysis.questions.side_by_side import as_replay_table
from optimizer.errors import InvalidTable
from optimizer.simulation.example_log import CONTEXTS, MODELS, truth, write_example_log, write_side_by_side
from optimizer.simulation.floors import replay_floors
from optimizer.simulation.tables import read_table

figures.draw_offline()
pl.Config(tbl_rows=20, tbl_cols=12)
folder = Path(mkdtemp())
path = folder / "calls.csv"  # yours instead
write_example_log(path)

log = own_logs.read_log(path)
policies = {f"always {model}": dict.fromkeys(CONTEXTS, model) for model in MODELS}
policies["small if easy else large"] = {"easy": "small", "hard": "large"}
judged = [own_logs.judge(log, name, chosen) for name, chosen in policies.items()]
print(own_logs.in_words(log, judged))

# %% [markdown]
# That is the answer. The rest of this page is how we know, what the file must look like, and what it cannot tell.
#
# ## The file
#
# One row for each call. `time` and `model` are needed; `rating` (from 0 to 1) and `cost_usd` where they are known;
# `context`, the kind of call, if the choice hung on it; `session`, if calls belong together. And, for every model,
# **how likely it was to be chosen** for that call: `chance:small` and so on. Whoever drew models by lot knows that;
# for an experiment with the same chances for all calls, `read_log(path, {"a": 0.5, "b": 0.5})` says it once.

# %%
print("".join(path.read_text().splitlines(keepends=True)[:6]))

# %% [markdown]
# Files are checked cell by cell, and the first wrong line is named:

# %%
wrong = folder / "wrong.csv"
wrong.write_text("time,model,rating\n2026-11-02T08:00:00Z,small,0.8\n2026-11-02T08:02:00Z,large,4\n")
try:
    own_logs.read_log(wrong)
except InvalidTable as error:
    print(str(error).replace(str(folder), "…"))

# %% [markdown]
# ## Why not just compare means?
#
# Because that compares calls, not models. Whoever gets the hard calls looks bad:

# %%
tidy(own_logs.plain_means(log))

# %% [markdown]
# In the synthetic file the large model got most of the hard calls, so its mean rating is the lowest of the three; yet
# it is the best one at every kind of call. The chances put that right: a call that had one chance in ten to go to a
# model stands for ten calls of that model. (How such estimates work, and when they are refused:
# [another_policy](another_policy.ipynb).)

# %%
table = own_logs.judged_table(judged)
figures.frontier(table.with_columns(pl.col("policy").alias("label"), pl.lit(value=False).alias("happened")))

# %%
tidy(table)

# %% [markdown]
# This file is synthetic, so here are the true means beside the estimates. Of a 95% interval one expects that it misses
# now and then, one time in twenty.

# %%
true = [truth(chosen) for chosen in policies.values()]
compared = table.select("policy", "usd_low", "usd_high", "quality_low", "quality_high").with_columns(
    true_usd=pl.Series([usd for usd, _ in true]), true_quality=pl.Series([quality for _, quality in true])
)
tidy(compared)

# %% [markdown]
# ## Several models, the same prompts
#
# Logs of another kind: an evaluation set that several models answered, one row for each prompt, with `quality:MODEL`
# and `cost_usd:MODEL`. Here nothing has to be estimated by chances, as every answer is known, and any way of choosing
# can be *replayed*, with all its learning. First the file becomes a replay table, one row for each prompt and model,
# which is checked in its turn:

# %%
scores, replay = folder / "scores.csv", folder / "replay.csv"
write_side_by_side(scores)  # yours instead
as_replay_table(scores).write_csv(replay)
recorded = read_table(replay)
print(f"{recorded.n_prompts} prompts, answered by {', '.join(recorded.models)}; {recorded.n_left_out} left out.")

# %%
points = replay_floors(recorded)
figures.frontier(points.filter(~pl.col("happened")))

# %%
tidy(points.select("label", "usd_per_call", "usd_low", "usd_high", "quality", "kept", "saved"))

# %% [markdown]
# `kept` is the quality as a share of that of the best single model, `saved` the share of its cost. The optimizer
# starts without a single rating here, and learns only from the answers that it chose, so on a few hundred prompts much
# of what it spends is spent on finding out. The same on the command line: `optimizer replay replay.csv --objective
# average:95%`.
#
# ## What this page cannot tell
#
# - *Anything about choices without chances.* If a person or a rule always sent hard calls to the large model, no
#   arithmetic can tell what the small one would have done with them. Draw a few percent of the calls by lot, and write
#   down the chances: `optimizer serve` does.
# - *More than ratings say.* If people rate what they dislike, for reasons that are not in the file, estimates inherit
#   that.
# - *Contexts that you did not write down.* If the choice hung on something (length, language), put it into `context`,
#   or the estimate mixes what should be kept apart.
# - *A world that moves.* The means are over the whole time of the file; a model that changed midway is averaged.
