"""The page of engines tells what the contract's tests hold the engines to."""

from tests.engines.claims import Ability
from tests.engines.table import COLUMNS, PAGE, missing, of_page, rendered


def test_the_table_says_what_the_tests_claim() -> None:
    assert of_page(PAGE.read_text()) == rendered(), "run `python -m tests.engines.table`"


def test_a_claim_that_no_test_has_shown_is_missing() -> None:
    everything = {(claim.engine, ability) for claim in COLUMNS for ability in Ability}
    assert missing(everything) == []
    assert missing(everything - {("llama.cpp", Ability.STOPS)}) == ["llama.cpp: stop strings"]
    assert missing(everything - {("llama.cpp", Ability.IMAGES)}) == [], "nobody claims it"
