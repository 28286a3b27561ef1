"""Explanations of logs from the field: excerpts that people pasted in public issue threads."""

from __future__ import annotations

from tests.logs.scoring import scores, table

SCORES = scores()
LEAST = 0.9  # of the logs have an answer that is right, or right in part


def test_most_answers_are_right_and_no_sure_one_is_wrong() -> None:
    print("\n".join(table(SCORES)))  # noqa: T201
    good = [score for score in SCORES if score.score in ("right", "partly")]
    assert len(SCORES) > 50
    assert len(good) >= LEAST * len(SCORES), [s for s in SCORES if s not in good]
    assert [score for score in SCORES if score.sure_but_wrong] == []


def test_no_log_of_a_failure_is_called_silent() -> None:
    assert [score.name for score in SCORES if score.score == "silent"] == []
