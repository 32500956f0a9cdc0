"""Replay tables are read into arrays, and every way a file can be wrong is said in a line that names the column."""

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_array_equal

from optimizer.errors import InvalidTable
from optimizer.simulation.tables import features_of, read_features, read_prior, read_table, read_tables

SYNTHETIC = Path(__file__).parents[2] / "data/synthetic_replay.csv.gz"
HEADER = "prompt_id,use_case,prompt_tokens,model,quality,cost_usd,output_tokens,latency_s"
ROWS = (
    "p1,chat,100,big,1,0.03,10,1.5",
    "p1,chat,110,small,0,0.01,5,",
    "p2,code,200,big,0.5,0.06,20,",
    "p2,code,,small,0.25,0.02,,",
    "p3,code,300,big,1,0.06,20,",
    "p3,code,300,small,,0.02,30,",
)


def write(folder: Path, *rows: str, header: str = HEADER, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_text("\n".join((header, *rows)) + "\n")
    return path


def test_small_table_by_hand(tmp_path: Path) -> None:
    """Of p3 one quality is missing, so it is left out; a request's length is the median over the models' counts."""
    table = read_table(write(tmp_path, *ROWS))
    assert (table.name, table.models, table.prompts, table.use_cases) == (
        "t",
        ("big", "small"),
        ("p1", "p2"),
        ("chat", "code"),
    )
    assert table.n_left_out == 1
    assert_array_equal(table.quality, [[1.0, 0.0], [0.5, 0.25]])
    assert_array_equal(table.cost_usd, [[0.03, 0.01], [0.06, 0.02]])
    assert_array_equal(table.context_tokens, [105.0, 200.0])
    assert_array_equal(table.output_tokens, [[10, 5], [20, np.nan]])
    assert np.isnan(table.input_usd).all()


def test_choosing_models_leaves_out_fewer_prompts(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, *ROWS), ["big"])
    assert (table.models, table.n_prompts, table.n_left_out) == (("big",), 3, 0)


def test_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    one = read_table(write(tmp_path, *ROWS))
    other = read_table(write(tmp_path, *reversed(ROWS)))
    assert one.prompts == other.prompts
    assert_array_equal(one.quality, other.quality)


def test_csv_packed_csv_and_parquet_say_the_same(tmp_path: Path) -> None:
    plain = write(tmp_path, *ROWS)
    packed = tmp_path / "t.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    columns = tmp_path / "t.parquet"
    pl.read_csv(plain).write_parquet(columns)
    for path in (packed, columns):
        table = read_table(path)
        assert table.name == "t"
        assert_array_equal(table.quality, read_table(plain).quality)


def test_prices_come_from_the_table_and_bills_give_output_tokens(tmp_path: Path) -> None:
    """$0.0003 for 100 tokens in at $1 and the rest out at $2 a million: 100 tokens out."""
    header = f"{HEADER},input_usd_per_mtok,output_usd_per_mtok"
    table = read_table(write(tmp_path, "p,chat,100,m,1,0.0003,,,1,2", header=header))
    assert_array_equal(table.input_usd, [1e-6])
    assert table.output_tokens[0, 0] == pytest.approx(100.0)


def test_prices_else_come_from_the_list_beside_it(tmp_path: Path) -> None:
    (tmp_path / "models.csv").write_text(
        "dataset,model,price_in_usd_per_m,price_out_usd_per_m,cost_kind\nt,big,1,2,x\nother,small,5,6,x\nt,small,,,x\n"
    )
    table = read_table(write(tmp_path, *ROWS))
    assert_array_equal(table.input_usd, [1e-6, np.nan])
    assert_array_equal(table.output_usd, [2e-6, np.nan])


def test_another_kind_of_list_beside_it_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "models.csv").write_text("model,vendor\nbig,maker\n")
    assert np.isnan(read_table(write(tmp_path, *ROWS)).input_usd).all()


def test_synthetic_table_is_read_whole() -> None:
    table = read_table(SYNTHETIC)
    assert (table.n_prompts, len(table.models), table.n_left_out) == (1200, 5, 0)
    assert not np.isnan(table.input_usd).any()


@pytest.mark.parametrize(
    ("rows", "header", "says"),
    [
        ((), HEADER, "no rows"),
        (ROWS, HEADER.replace("cost_usd", "price"), "missing columns: cost_usd"),
        (("p,chat,1,m,1.5,1,1,1",), HEADER, "quality: row 1 is out of range"),
        (("p,chat,1,m,1,1,1,1", "q,chat,1,m,-1,1,1,1"), HEADER, "quality: row 2 is out of range"),
        (("p,chat,1,m,1,-1,1,1",), HEADER, "cost_usd: row 1 is out of range"),
        (("p,chat,1,m,1,inf,1,1",), HEADER, "cost_usd: row 1 is out of range"),
        (("p,chat,-1,m,1,1,1,1",), HEADER, "prompt_tokens: row 1 is out of range"),
        (("p,chat,1,m,good,1,1,1",), HEADER, "quality: not a number"),
        (("p,chat,1,m,1,1,1,1",) * 2, HEADER, "prompt_id, model: some pair stands twice"),
        (("p,chat,1,m,1,1,1,1", "p,code,1,n,1,1,1,1"), HEADER, "use_case: some prompt has more than one"),
        (("p,chat,1,m,1,1,1,1", "p,,1,n,1,1,1,1"), HEADER, "use_case: empty in some rows"),
        (("p,chat,1,m,1,1,1,1", "q,ch"), HEADER, "half-written: the last row has 2 of 8 columns"),
        (("p,chat,1,m,1,1,1,1", "q,ch", "p,chat,1,n,1,1,1,1"), HEADER, "model: empty in some rows; is the file cut"),
        (("p,chat,1,m,1,1,1,1", "p,chat,1,n,,1,1,1"), HEADER, "n has none"),
        (("p,chat,1,m,1,1,1,1", "q,chat,1,n,1,1,1,1"), HEADER, "choose fewer models"),
        (("p,chat,1,m,1,1,1,1,1,1,1",), HEADER, "unreadable or half-written"),
    ],
)
def test_wrong_table_is_refused_by_column(rows: tuple[str, ...], header: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidTable, match=says) as refused:
        read_table(write(tmp_path, *rows, header=header))
    assert "t.csv: " in str(refused.value)
    assert "\n" not in str(refused.value)


def test_file_that_is_not_there_or_cut_or_something_else_is_refused(tmp_path: Path) -> None:
    whole = SYNTHETIC.read_bytes()
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "noise.parquet").write_bytes(b"not a table")
    (tmp_path / "empty.csv").write_bytes(b"")
    for name in ("gone.csv", "cut.csv.gz", "noise.parquet", "empty.csv"):
        with pytest.raises(InvalidTable, match=name):
            read_table(tmp_path / name)


def test_unknown_model_is_refused_with_those_it_has(tmp_path: Path) -> None:
    with pytest.raises(InvalidTable, match="model: no rows of huge; it has: big, small"):
        read_table(write(tmp_path, *ROWS), ["big", "huge"])


def test_several_tables_share_the_models_that_all_have(tmp_path: Path) -> None:
    other = write(tmp_path, "q,chat,1,small,1,1,1,1", "q,chat,1,tiny,1,1,1,1", name="other.csv")
    tables = read_tables([write(tmp_path, *ROWS), other])
    assert [table.models for table in tables] == [("small",), ("small",)]
    alone = write(tmp_path, "q,chat,1,tiny,1,1,1,1", name="alone.csv")
    with pytest.raises(InvalidTable, match="model: none that all 2 tables have"):
        read_tables([write(tmp_path, *ROWS), alone])


def test_prior_may_lack_some_of_the_models(tmp_path: Path) -> None:
    path = write(tmp_path, *ROWS)
    assert read_prior(path, ["huge", "small"]).models == ("small",)
    with pytest.raises(InvalidTable, match="model: none of huge"):
        read_prior(path, ["huge"])


def _features(folder: Path, *rows: str) -> Path:
    table = write(folder, *ROWS)
    (folder / "t.features.csv.gz").write_bytes(gzip.compress("\n".join(("prompt_id,length,e0", *rows)).encode()))
    return table


def test_features_stand_in_the_order_of_the_prompts(tmp_path: Path) -> None:
    table = read_table(_features(tmp_path, "p3,3,0.3", "p2,2,0.2", "p1,1,0.1"), features=True)
    assert_array_equal(table.features, [[1.0, 0.1], [2.0, 0.2]])


def test_features_that_lack_a_prompt_or_are_no_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidTable, match="prompt_id: no row of 'p2'"):
        read_table(_features(tmp_path, "p1,1,0.1"), features=True)
    with pytest.raises(InvalidTable, match="e0: not a number"):
        read_table(_features(tmp_path, "p1,1,x", "p2,1,1"), features=True)
    with pytest.raises(InvalidTable, match="prompt_id: some prompt stands twice"):
        read_table(_features(tmp_path, "p1,1,1", "p1,1,1", "p2,1,1"), features=True)


def test_no_features_are_none_until_they_are_needed(tmp_path: Path) -> None:
    path = write(tmp_path, *ROWS)
    assert read_features(path) is None
    assert read_table(path, features=True).features is None
    with pytest.raises(InvalidTable, match=r"t\.features\.csv\.gz: no such file"):
        features_of(path)
