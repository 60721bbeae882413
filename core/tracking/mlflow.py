"""MLflow: one run per fold; in a database of the workspace unless MLFLOW_TRACKING_URI names a server.

The database is named by its file alone, from its own folder: in an address a `?`, `%` or `#` of the path would lead elsewhere.
"""

import fcntl
import logging
import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # before it is imported: nothing about its use leaves the machine
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from core.base.files import shell_path
from core.tracking.tracker import Outcome, Point, TrackedFold

STATUS: dict[Outcome, str] = {"done": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}
TAG = "pitwall."
DATABASE = "mlflow.db"
LOCAL_URI = f"sqlite:///{DATABASE}"
MAX_METRICS = 900
"""A server takes 1000 in one call."""
MAX_VALUE = 500

logging.getLogger("mlflow").setLevel(logging.WARNING)
logging.getLogger("alembic").setLevel(logging.WARNING)


class MlflowFold:
    """A fold as a run of MLflow; what a server asks for is read by the library itself from MLFLOW_TRACKING_TOKEN and its like."""

    def __init__(self, fold: TrackedFold, history: Sequence[Point], record: str) -> None:
        folder = fold.logs_dir / "mlflow"
        elsewhere = os.environ.get("MLFLOW_TRACKING_URI")
        uri = elsewhere or LOCAL_URI
        with _alone(folder):
            if not elsewhere:
                os.chdir(folder)  # this process is here for MLflow alone
                make_database()
            self._client = MlflowClient(tracking_uri=uri)
            experiment = self._client.get_experiment_by_name(fold.project)
            artifacts = None if elsewhere else (folder / "artifacts").as_uri()
            experiment_id = experiment.experiment_id if experiment else self._client.create_experiment(fold.project, artifacts)
        found = self._client.search_runs([experiment_id], f"tags.`{TAG}record` = '{record}'", max_results=1)
        if found:
            self._id = found[0].info.run_id
            self._client.update_run(self._id, status="RUNNING")
        else:
            self._id = self._client.create_run(experiment_id, tags={f"{TAG}record": record}, run_name=fold.name).info.run_id
        tags = {"contest": fold.contest, "run": fold.run, "ref": fold.ref, "fold": str(fold.fold), "attempt": str(fold.token)}
        self._client.log_batch(
            self._id,
            params=[Param(key, str(value)[:MAX_VALUE]) for key, value in fold.settings.items()],
            tags=[RunTag(TAG + key, value) for key, value in tags.items()],
        )
        is_server = uri.startswith(("http:", "https:"))
        address = without_secrets(uri.rstrip("/"))
        self.place = f"{address}/#/experiments/{experiment_id}/runs/{self._id}" if is_server else address if elsewhere else str(folder)
        there = "" if elsewhere else f"cd {shell_path(folder)} && "
        self.command = "" if is_server else there + shlex.join(["mlflow", "ui", "--backend-store-uri", address])
        # What it has already is not said again: it keeps a value that comes twice twice.
        names = {name for point in history for name in point.values} if found else set[str]()
        self._last = {name: max((old.step for old in self._client.get_metric_history(self._id, name)), default=0) for name in names}
        self.log(history)

    def log(self, points: Sequence[Point]) -> None:
        """Add points; those it has are left out."""
        metrics = [
            Metric(name, value, int(1000 * point.at), point.step)
            for point in points
            for name, value in point.values.items()
            if point.step > self._last.get(name, 0)
        ]
        for start in range(0, len(metrics), MAX_METRICS):
            self._client.log_batch(self._id, metrics=metrics[start : start + MAX_METRICS])
        for metric in metrics:
            self._last[metric.key] = metric.step

    def close(self, outcome: Outcome) -> None:
        self._client.set_terminated(self._id, STATUS[outcome])


def make_database() -> None:
    """Make the database in this folder, where there is none: aside, then put into its place. One whose making was killed cannot be
    opened again."""
    aside, path = Path(f".{DATABASE}.new"), Path(DATABASE)
    if not path.exists():
        aside.unlink(missing_ok=True)
        MlflowClient(tracking_uri=f"sqlite:///{aside}").search_experiments(max_results=1)
        aside.rename(path)


def without_secrets(uri: str) -> str:
    """An address without the user and password that it may hold."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else uri


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two folds that begin at once would both make the database, or the experiment."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
