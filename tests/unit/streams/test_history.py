"""Importing history: all of a file or, unless asked otherwise, nothing of it."""

import asyncio
from pathlib import Path

import pytest

from engine.errors import Refused
from streams.history import bring


def test_a_file_can_be_checked_without_loading_it(tmp_path: Path) -> None:
    path = tmp_path / "optouts.csv"
    path.write_text("type,user_id,channel,at\nopt_out,u-1,sms,2026-01-01T00:00:00Z\n")

    brought = asyncio.run(bring(None, path))

    assert brought.events == {"ConsentChanged": 1}
    assert (brought.bad, brought.loaded) == (0, 0)


def test_a_bad_line_stops_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "optouts.csv"
    path.write_text(
        "type,user_id,channel,at\n"
        "opt_out,u-1,sms,2026-01-01T00:00:00Z\n"
        "opt_out,,sms,2026-01-01T00:00:00Z\n"
    )

    with pytest.raises(Refused) as refused:
        asyncio.run(bring(None, path))
    assert f"{path}:3:" in str(refused.value)
    assert "Nothing was loaded" in str(refused.value)

    brought = asyncio.run(bring(None, path, skip_bad=True))
    assert brought.events == {"ConsentChanged": 1}
    assert brought.bad == 1


def test_many_bad_lines_are_not_all_told(tmp_path: Path) -> None:
    path = tmp_path / "optouts.csv"
    path.write_text("type,user_id,channel\n" + "opt_out,,sms\n" * 500)

    with pytest.raises(Refused, match="480 more bad lines"):
        asyncio.run(bring(None, path))
