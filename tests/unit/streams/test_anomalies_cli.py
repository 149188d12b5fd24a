"""`anomalies score`: files as people have them, and mistakes as one sentence with the line."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from streams.cli import main


def score(tmp_path: Path, text: str, *options: str) -> Result:
    file = tmp_path / "series.csv"
    file.write_text(text)
    return CliRunner().invoke(main, ["anomalies", "score", str(file), *options])


def test_every_row_comes_back_in_order_as_it_was_written_with_a_score(tmp_path: Path) -> None:
    lines = [
        "2026-01-01 00:00:00,3",
        "2026-01-01T00:05:00Z,",
        "1767225600,4.50",
        "1767225600,4.50",
        "1767225500000,NaN",
        "2026-01-01 03:00:00,-1e3",
    ]
    result = score(tmp_path, "\ufefftimestamp,value\n" + "\n\n".join(lines) + "\n")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "timestamp,value,score",
        *(f"{line},0.000000" for line in lines),
    ]


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    result = score(tmp_path, "host, Value ,TIMESTAMP\na,7,2026-01-01\n")
    assert result.output.splitlines()[1] == "2026-01-01,7,0.000000"


def test_a_break_in_a_quiet_series_has_the_highest_score(tmp_path: Path) -> None:
    values = [10 + (7 * row % 13) / 10 for row in range(600)]
    values[500] = 40.0
    rows = "\n".join(f"{1_767_225_600 + 60 * row},{value}" for row, value in enumerate(values))
    out = tmp_path / "scores.csv"
    result = score(tmp_path, f"timestamp,value\n{rows}\n", "--out", str(out))
    assert result.output == ""
    scores = [float(line.split(",")[2]) for line in out.read_text().splitlines()[1:]]
    assert len(scores) == 600
    assert scores.index(max(scores)) == 500


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1 names no column timestamp and no column value"),
        ("time,value\n1,2\n", "line 1 names no column timestamp"),
        ("timestamp,value\n1,2\nsoon,3\n", "line 3: 'soon' is no time"),
        ("timestamp,value\n1,2\n\n2,many\n", "line 4: 'many' is no number"),
        ("timestamp,value\n1e300,2\n", "line 2: '1e300' is no time"),
        ("value,timestamp\n3\n", "line 2 has no timestamp"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    out = tmp_path / "scores.csv"
    result = score(tmp_path, text, "--out", str(out))
    assert result.exit_code == 1
    assert said in result.output
    assert "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == [tmp_path / "series.csv"]


def test_a_file_may_be_scored_in_place(tmp_path: Path) -> None:
    file = tmp_path / "series.csv"
    result = score(tmp_path, "timestamp,value\n1,2\n", "--out", str(file))
    assert result.exit_code == 0
    assert file.read_text() == "timestamp,value,score\n1,2,0.000000\n"


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "series.csv"
    file.write_bytes(b"timestamp,value\n\xff\xfe\x00\n")
    result = CliRunner().invoke(main, ["anomalies", "score", str(file)])
    assert result.exit_code == 1
    assert "no CSV text in UTF-8" in result.output
