"""Where a run or a blend is wrong: which classes are confused or missed, down to the sample and its probabilities."""

import streamlit as st

from app.errors.confusion import Confusion
from app.errors.outcomes import Outcomes
from app.ui.cards import guard, need_contest, onward
from app.ui.format import plain
from app.ui.sources import matrix_of_sources, open_source
from app.words.text import t

source = open_source(need_contest(t("errors.title")), "errors", complete=False, icon="grid_on")
with guard():
    if source is not None:
        body = st.container()
        with body.skeleton(height=520):
            oof = matrix_of_sources(source)
        with body:
            (Outcomes if oof.is_multilabel else Confusion)(source, oof).show()
            if source.is_complete and source.contest.n_test:
                onward(t("errors.next", name=plain(source.name)), "submit", source=source.ref)
