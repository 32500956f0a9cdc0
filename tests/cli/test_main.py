"""Every verb shares one policy: exit codes, one line on stderr, the common options, and help with an example."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from optimizer.cli.app import App, Verb, VerbGroup
from optimizer.cli.main import cli, run
from optimizer.errors import InvalidRating

ROOT = Path(__file__).parents[2]


def _verbs(command: click.Command, *names: str) -> Iterator[tuple[str, ...]]:
    yield names
    for name, below in getattr(command, "commands", {}).items():
        yield from _verbs(below, *names, name)


@click.group(cls=VerbGroup, epilog="optimizer try it")
def trial() -> None:
    """Try it."""


@trial.command(cls=Verb, epilog="optimizer try it")
@click.argument("how", default="well")
@click.pass_obj
def it(app: App, how: str) -> None:
    """Try it in some way."""
    failures = {
        "ours": InvalidRating("value", "must be\na number"),
        "bug": KeyError("x"),
        "ctrl-c": KeyboardInterrupt(),
    }
    if how in failures:
        raise failures[how]
    click.echo(f"{app.config} {app.database}")


@pytest.mark.parametrize("names", list(_verbs(cli)))
def test_every_verb_shows_an_example_in_its_help(names: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("-h", "--help"):
        assert run(cli, [*names, option], App({})) == 0
        out = capsys.readouterr().out
        assert "\nExample:\n  optimizer " in out
        assert "--config FILE" in out
        assert "--database URL" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--config", "a", "--database", "b", "it"],
        ["it", "--config", "a", "--database", "b"],
        ["--config", "x", "it", "--config", "a", "--database", "b"],
    ],
)
def test_common_options_stand_before_or_after_the_verb(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(trial, arguments, App({})) == 0
    assert capsys.readouterr().out == "a b\n"


@pytest.mark.parametrize(
    ("how", "code", "message"),
    [
        ("ours", 1, "optimizer: error: value: must be a number\n"),
        ("bug", 1, "optimizer: error: unforeseen KeyError: 'x' (set OPTIMIZER_TRACEBACK=1 to see where)\n"),
        ("--nope", 2, "optimizer: error: No such option '--nope'. (see optimizer it --help)\n"),
    ],
)
def test_failure_is_one_line_on_stderr(how: str, code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(trial, ["it", how], App({})) == code
    assert capsys.readouterr() == ("", message)


def test_ctrl_c_exits_with_130_and_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(trial, ["it", "ctrl-c"], App({})) == 130
    assert capsys.readouterr().err.strip() == ""


def test_traceback_is_there_for_those_who_ask() -> None:
    with pytest.raises(KeyError):
        run(trial, ["it", "bug"], App({"OPTIMIZER_TRACEBACK": "1"}))


def test_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cli, ["--version"], App({})) == 0
    assert capsys.readouterr().out.startswith("optimizer ")


@pytest.mark.parametrize(
    ("database", "environ", "expected"),
    [
        ("postgresql://a/b", {"DATABASE_URL": "sqlite:///c.db"}, "postgresql://a/b"),
        (None, {"DATABASE_URL": "sqlite:///c.db"}, "sqlite:///c.db"),
        (None, {}, "sqlite:///optimizer.db"),
    ],
)
def test_database_is_the_option_else_the_environment_else_a_file(database: str, environ: dict, expected: str) -> None:
    assert App(environ, database=database).database_url == expected


def test_reader_that_goes_away_is_not_an_error() -> None:
    """Far more than a pipe holds is written to a reader that closes at once."""
    command = [sys.executable, "-m", "optimizer", "prices", "--json", *["--model=gpt-4o"] * 500]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode in {0, 1}


def test_module_runs_like_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "optimizer", "nope"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "optimizer: error: No such command 'nope'. (see optimizer --help)\n"
