"""The same expressions over an export give the same results on Spark, in local mode, as in DuckDB."""

import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import ibis
import pytest
from polars.testing import assert_frame_equal

from optimizer.analysis.export import Wanted, open_export
from optimizer.analysis.frames import Frames
from optimizer.analysis.frames_columns import COLUMNS
from optimizer.analysis.frames_questions import percentiles, quality, shares, spend
from tests.analysis.small_ledger import fill

pyspark = pytest.importorskip("pyspark", reason="Spark is not installed: pip install 'orchestra-optimizer[spark]'")
if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
    pytest.skip("Spark needs Java, which is not on this machine", allow_module_level=True)


@pytest.fixture(scope="module")
def exported(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spark")
    path = shutil.copy(sqlite_template, folder / "ledger.db")
    fill(str(path))
    with open_export(str(path), folder / "exported", Wanted()) as export:
        export.write()
    return folder / "exported"


@pytest.fixture(scope="module")
def spark(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frames]:
    from pyspark.sql import SparkSession

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Spark's own
        session = (
            SparkSession.builder.master("local[1]")
            .config("spark.ui.enabled", "false")
            .config("spark.sql.shuffle.partitions", "1")
            .config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("warehouse")))
            .getOrCreate()
        )
        yield Frames.on(ibis.pyspark.connect(session), exported.as_uri())
        session.stop()


@pytest.mark.filterwarnings("ignore")  # Spark's own
def test_spark_gives_what_duckdb_gives(exported: Path, spark: Frames) -> None:
    questions = [
        lambda frames: spend(frames, "use_case", "tag:team", "day"),
        lambda frames: percentiles(frames, "model"),
        lambda frames: shares(frames, every="hour"),
        lambda frames: quality(frames, "model"),
        *(lambda frames, name=name: frames.table(name) for name in COLUMNS),
    ]
    with Frames.open(exported) as duck:
        for ask in questions:
            found, expected = (ask(frames).to_polars() for frames in (spark, duck))
            assert_frame_equal(found, expected, check_row_order=False)
