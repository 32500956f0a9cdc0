"""A report's figures as parts of a page, each with its numbers in a table beside it."""

import polars as pl

from optimizer.analysis import figures
from optimizer.analysis.figure_tables import FigureTables
from optimizer.analysis.page import count, figure, frame_table, share, three, usd


def money(tables: FigureTables) -> str:
    """Return what use cases paid and saved; its numbers are in the page already."""
    about = "US dollars paid and saved by use case, with the 95% interval of what was saved"
    return "" if tables.money.is_empty() else figure(figures.money(tables.money), about, "")


def savings(tables: FigureTables) -> str:
    """Return savings as they built up."""
    frame, about = tables.savings_build_up, "US dollars paid, and saved against the baselines, as time went on"
    if frame.is_empty():
        return ""
    shown = {
        "at": ("until (UTC)", None),
        "paid_usd": ("paid", usd),
        "baseline_usd": ("the baseline would have cost", usd),
        "saved_usd": ("saved", usd),
        "saved_low_usd": ("95% from", usd),
        "saved_high_usd": ("to", usd),
    }
    return figure(figures.savings_build_up(frame), about, frame_table(about, frame, shown))


def limits(tables: FigureTables) -> str:
    """Return spending against its limits; in the table, how every window ended or is expected to."""
    frame, about = tables.spend_against_budget, "US dollars spent in the windows of every limit"
    if frame.is_empty():
        return ""
    last = frame.group_by("limit", "window", maintain_order=True).agg(
        pl.col("spent_usd").drop_nulls().last(), pl.col("expected_usd", "limit_usd").last()
    )
    shown = {
        "limit": ("limit", None),
        "window": ("from (UTC)", None),
        "spent_usd": ("spent", usd),
        "expected_usd": ("expected at the end", usd),
        "limit_usd": ("limit", usd),
    }
    return figure(figures.spend_against_budget(frame), about, frame_table(about, last, shown))


def latency(tables: FigureTables) -> str:
    """Return how long callers waited."""
    frame, about = tables.latency, "Latency in milliseconds by the model that served: p50, p95, p99"
    if frame.is_empty():
        return ""
    shown = {
        "model": ("model", None),
        "calls": ("calls", count),
        "p50_ms": ("p50 ms", count),
        "p95_ms": ("p95 ms", count),
        "p99_ms": ("p99 ms", count),
    }
    return figure(figures.latency(frame), about, frame_table(about, frame.sort("p50_ms"), shown))


def shares(tables: FigureTables) -> str:
    """Return who served as time went on."""
    frame, about = tables.share_over_time, "Share of calls by the model that served, as time went on"
    if frame.is_empty():
        return ""
    percent = (100.0 * pl.col("share")).round(0).cast(pl.Int64).cast(pl.String) + "%"
    rows = frame.group_by("use_case", "at", maintain_order=True).agg(
        pl.col("calls").sum(), served=(pl.col("model") + " " + percent).str.join(", ")
    )
    shown = {
        "use_case": ("use case", None),
        "at": ("from (UTC)", None),
        "calls": ("calls", count),
        "served": ("served by<", None),
    }
    return figure(figures.share_over_time(frame), about, frame_table(about, rows, shown))


def frontier(tables: FigureTables) -> str:
    """Return quality against cost; its numbers are those of beliefs."""
    about = "Believed quality against expected US dollars per call, by use case and candidate"
    return "" if tables.frontier.is_empty() else figure(figures.frontier(tables.frontier), about, "")


def beliefs(tables: FigureTables) -> str:
    """Return what is believed of candidates."""
    frame, about = tables.beliefs, "Believed quality of every candidate, with its 95% interval, by use case"
    if frame.is_empty():
        return ""
    shown = {
        "use_case": ("use case", None),
        "model": ("model<", None),
        "role": ("role<", None),
        "quality": ("believed quality", three),
        "low": ("95% from", three),
        "high": ("to", three),
        "floor": ("asked for", three),
        "ratings": ("ratings that count", count),
        "usd_per_call": ("expected cost of a call", usd),
        "chance": ("chance to be drawn now", share),
        "served": ("share served", share),
    }
    return figure(figures.beliefs(frame), about, frame_table(about, frame, shown))


def calibration(tables: FigureTables) -> str:
    """Return quality as expected beside as rated."""
    frame, about = tables.calibration, "Mean rating of calls against the quality that was expected of them"
    if frame.is_empty():
        return ""
    shown = {
        "expected": ("expected", three),
        "rated": ("mean rating", three),
        "low": ("95% from", three),
        "high": ("to", three),
        "calls": ("rated calls", count),
    }
    return figure(figures.calibration(frame), about, frame_table(about, frame, shown))
