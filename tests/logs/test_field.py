"""Scores of all logs: excerpts of public threads (field), and logs of real clients (corpus)."""

from __future__ import annotations

import pytest

from tests.logs.scoring import Score, calibration, corpus_scores, scores, table

SCORES, CORPUS = scores(), corpus_scores()
LEAST = 0.9  # of the logs have an answer that is right, or right in part
CALIBRATED = {"sure": 0.99, "likely": 0.8}  # of the answers of a confidence are right


@pytest.mark.parametrize("found", [SCORES, CORPUS], ids=["field", "corpus"])
def test_most_answers_are_right_and_no_sure_one_is_wrong(found: list[Score]) -> None:
    print("\n".join(table(found)))  # noqa: T201
    good = [score for score in found if score.score in ("right", "partly")]
    assert len(found) > 50
    assert len(good) >= LEAST * len(found), [s for s in found if s not in good]
    assert [score for score in found if score.sure_but_wrong] == []


@pytest.mark.parametrize("confidence", CALIBRATED)
@pytest.mark.parametrize("found", [SCORES, CORPUS], ids=["field", "corpus"])
def test_a_confidence_is_worth_what_it_says(found: list[Score], confidence: str) -> None:
    answers, right = calibration(found, confidence)
    print(f"{confidence}: {right} of {answers} right")  # noqa: T201
    assert answers > 10
    assert right >= CALIBRATED[confidence] * answers


def test_no_log_of_a_failure_is_called_silent() -> None:
    assert [score.name for score in SCORES if score.score == "silent"] == []
