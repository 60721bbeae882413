"""A job that waits or runs beside the folds, as pages show it."""

import streamlit as st

from app.shell import runtime
from app.ui.cards import guard
from app.ui.format import format_duration
from app.words.text import t
from core.store.jobs import Job


def waiting_job(job: Job) -> None:
    """Its phase, what is left, and a button that cancels it; to be called in a fragment."""
    done = job.progress
    said = [t(f"common.phase_{done.phase if done else 'starting'}") if job.state == "running" else t("predict.waits")]
    if done and done.epoch:
        said.append(t("runs.job_epoch", epoch=done.epoch, n=done.n_epochs))
    if done and done.eta_s is not None:
        said.append(t("runs.job_left", left=format_duration(done.eta_s)))
    st.progress(done.fraction if done else 0.0, " · ".join(said))
    if st.button(t("predict.cancel"), icon=":material/stop_circle:", key=f"cancel-{job.id}", disabled=job.cancel_requested):
        with guard():
            runtime.steer(lambda: runtime.queue.cancel_job(runtime.workspace().store, job.id))
            st.rerun(scope="fragment")
