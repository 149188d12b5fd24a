"""Why she did or did not hear, asked of the topics of a running deployment."""

import json
from collections import Counter

import pytest
from click.testing import CliRunner, Result

from streams.cli import main
from tests.support.agreement import wait_folded
from tests.support.running import Shop, shipped
from tests.support.traffic import traffic

pytestmark = [pytest.mark.kafka, pytest.mark.redis]


def asked(shop: Shop, *arguments: str) -> Result:
    return CliRunner().invoke(
        main, ["user", "why", *arguments], env=shop.environ, prog_name="rekindle"
    )


def test_the_topics_tell_what_the_worker_decided_and_what_armed_it(shop: Shop) -> None:
    shop.apply(shipped())
    shop.load(list(traffic(2_000)))
    with shop.worker("decide"):
        wait_folded(shop)
    decided = shop.values("decisions")
    most = [user for user, _ in Counter(one["user_id"] for one in decided).most_common(5)]
    assert most

    for user in most:
        shown = asked(shop, user, "--json")
        assert shown.exit_code == 0, shown.output
        page = json.loads(shown.stdout)
        told = [one for entry in page["entries"] for one in entry["decisions"]]
        hers = [one for one in decided if one["user_id"] == user]
        assert sorted(one["decision_id"] for one in told) == sorted(
            one["decision_id"] for one in hers
        )
        assert page["notes"] == []  # folded again, she comes to the same
        assert any(entry["text"].startswith("armed") for entry in page["entries"])

    nobody = asked(shop, "u-404")
    assert nobody.exit_code == 1
    assert nobody.stderr.startswith("Nothing is known about u-404 in the topics of ")
