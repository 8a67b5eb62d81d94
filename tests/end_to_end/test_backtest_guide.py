"""docs/backtest.md: its example works as it is written, and shows what it says it shows."""

import re
import shlex
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from support.command_line import alertd

GUIDE = Path(__file__).parents[2] / "docs" / "backtest.md"


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of one language."""
    found = re.findall(rf"^```{language}\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found
    return found


def figures(text: str) -> dict[str, list[float]]:
    """Return the figures of each line that has any behind its name, without the change in percent."""
    found = re.findall(r"^  (\S.*?)  +(\d[\d. of]*\d)", text, re.MULTILINE)
    return {name: [float(each) for each in re.findall(r"[\d.]+", numbers)] for name, numbers in found}


async def test_the_example_works(database: str, connection: psycopg.AsyncConnection[Any], tmp_path: Path) -> None:
    """The statements make the past, the command answers in the words shown, and tuning does what is said of it."""
    sample, tuning = blocks("sql")
    for statement in sample.split(";\n"):
        if statement.strip():
            await connection.execute(statement.encode())
    labels = tmp_path / "labels.jsonl"
    labels.write_text(blocks("jsonl")[0])
    program, *arguments = shlex.split(blocks("sh")[0])
    assert program == "pggit-alertd"
    arguments = [str(labels) if each == "labels.jsonl" else each for each in arguments]
    url = make_conninfo(database, options="-c role=pggit_alertd_operator -c TimeZone=UTC")
    ended = await alertd(*arguments, database_url=url)
    assert ended.status == 0, ended.said

    (shown,) = blocks("answer")
    said = ended.out
    assert said.splitlines()[:2] == shown.splitlines()[:2]
    expected, found = figures(shown), figures(said)
    assert expected.keys() <= found.keys()
    before, after = found["all"]
    assert after < 0.7 * before
    assert found["1 slack #ops"][1] < found["1 slack #ops"][0]
    assert found["recall: labels that were found"] == [1.0, 1.0]
    precision = found["precision: alerts that were right"]
    assert precision[1] > precision[0]
    for kind in ("level", "lock", "spike"):
        assert found[f"found of kind {kind}"] == expected[f"found of kind {kind}"]

    await connection.execute("SET ROLE pggit_alertd_operator")
    await connection.execute(tuning.encode())


def test_every_option_is_explained() -> None:
    """What the command takes is in the guide's table."""
    text = GUIDE.read_text(encoding="utf-8")
    source = (Path(__file__).parents[2] / "src" / "pggit_alertd" / "cli" / "backtest.py").read_text(encoding="utf-8")
    _, command = source.split("def backtest(")
    signature = command.partition(") -> None:")[0]
    names = {
        "--from",
        "--to",
        *("--" + name.replace("_", "-") for name in re.findall(r"^    (\w+): Annotated", signature, re.MULTILINE)),
    } - {"--start", "--end"}
    assert len(names) > 6
    for name in names:
        assert f"`{name}" in text, name
