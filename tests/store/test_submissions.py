from __future__ import annotations

from core.store.contests import Contest
from core.store.database import Store
from core.store.submissions import add_submission, list_submissions


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
            lineage={"runs": [number]},
            hidden_scores={"public": 0.5} if number else None,
            now=float(number),
        )
        for number in range(2)
    ]
    assert list_submissions(store, contest.id) == tuple(reversed(made))
    assert made[0].hidden_scores is None and made[1].hidden_scores == {"public": 0.5}
