from __future__ import annotations

from core.specs.kept import HiddenScores, Lineage
from core.store.blends import add_submission, list_submissions
from core.store.contests import Contest
from core.store.database import Store

HIDDEN = HiddenScores(metric="accuracy", public=0.5, private=0.25)
LINEAGE = Lineage(source="r1", name="n", fingerprint="a", rows="b", truth="c", folds="d", members=())


def test_the_ledger_keeps_every_submission(store: Store, contest: Contest) -> None:
    made = [
        add_submission(
            store,
            contest_id=contest.id,
            source=f"r{number}",
            name="n",
            filename="f.csv",
            sha256="0" * 64,
            path="p",
            n_rows=3,
            lineage=LINEAGE,
            hidden_scores=HIDDEN if number else None,
            now=float(number),
        )
        for number in range(2)
    ]
    assert list_submissions(store, contest.id) == tuple(reversed(made))
    assert made[0].hidden_scores is None and made[1].hidden_scores == HIDDEN
