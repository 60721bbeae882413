"""`tapt`, `pretraining`: a backbone goes on learning from the texts of a contest, and what a run gains by that."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from core.analysis.compare import compare_sources
from core.analysis.pairs import pretraining_pairs
from core.base.errors import PitwallError, StateError
from core.base.files import shell_name
from core.base.settings import apply_sets
from core.commands.blends import compared_text
from core.commands.console import (
    ContestArgument,
    JsonOption,
    SetOption,
    WorkspaceOption,
    YesOption,
    commands,
    note,
    opened,
    print_json,
    print_records,
    print_table,
    say,
)
from core.commands.follow import work
from core.commands.records import choose_folds, duration_text, run_record
from core.commands.training import read_recipe
from core.commands.trash import delete
from core.jobs.engine import Engine
from core.jobs.launch import launch_pretraining, launch_runs
from core.predictions.source import find_source
from core.recipes.pretraining import make_pair, pretraining_recipe
from core.specs.progress import Progress
from core.store import pretrainings
from core.store.contests import get_contest
from core.store.jobs import Job, get_job
from core.store.pretrainings import Pretraining, get_pretraining
from core.store.runs import get_run
from core.workspace import Workspace

PretrainingArgument = Annotated[str, typer.Argument(metavar="PRETRAINING", help="A reference such as p17, or a name.", show_default=False)]
TICK_S = 0.5
LINE_EVERY_S = 15.0

app = commands()
pretraining_app = commands("List pretrainings, show what one learned and gained, and delete them.")
app.add_typer(pretraining_app, name="pretraining")


@app.command("tapt")
def tapt(
    contest: ContestArgument,
    backbone: Annotated[str, typer.Option("--backbone", "-b", metavar="NAME", help="An encoder of the catalogue.", show_default=False)],
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            "-r",
            metavar="NAME|FILE",
            help="Make the texts as this recipe does: template, cleaning, length.",
            show_default=False,
        ),
    ] = None,
    texts: Annotated[
        list[Path] | None,
        typer.Option("--texts", metavar="FILE", help="More texts, one in a line; may be repeated.", show_default=False),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Its name; else that of the backbone.", show_default=False)
    ] = None,
    sets: SetOption = None,
    queue: Annotated[bool, typer.Option("--queue", help="Only put it in the queue.")] = False,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a backbone go on learning to fill in masked words of a contest's training and test texts (TAPT, Gururangan et al. 2020).

    No label is read. What comes of it is a backbone that runs start from: --set model.start_from=p17. `pretraining pair` trains a recipe
    without and with it on the same folds. Settings are those of a recipe: --set train.epochs=20, --set optim.lr=5e-5. It goes on from its
    checkpoint after a stop; `queue cancel` and `queue retry` take its job, such as j17.
    """
    workspace = opened(root)
    found = get_contest(workspace.store, contest)
    like = None if recipe is None else read_recipe(recipe, [])
    wanted = apply_sets(pretraining_recipe(backbone, workspace.weights_dir, like), [*(sets or []), *([f"name={name}"] if name else [])])
    job = launch_pretraining(workspace, found, wanted, files=texts or [])
    note(f"queued the pretraining of {backbone} on {found.name} ({job.ref})")
    if queue:
        if as_json:
            print_json({"job": job.ref, "contest": found.name, "recipe": wanted.to_dict()})
        return
    job = _work(workspace, job, quiet=as_json)
    if job.state == "failed" and job.error:
        raise PitwallError.from_dict(job.error)
    if job.state == "canceled":
        raise StateError("the pretraining was canceled", where=job.ref, fix=f"python -m core queue retry {job.ref} goes on with it")
    _print(workspace, get_pretraining(workspace.store, f"p{job.id}"), as_json=as_json)


@pretraining_app.command("list")
def list_all(contest: ContestArgument, root: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List a contest's pretrainings, newest first, with the loss per masked token of texts that were held out."""
    workspace = opened(root)
    found = get_contest(workspace.store, contest)
    print_records(
        [_record(each) for each in pretrainings.list_pretrainings(workspace.store, found.id)],
        {
            "ref": lambda record: record["ref"],
            "name": lambda record: record["name"],
            "backbone": lambda record: record["backbone"],
            ">texts": lambda record: f"{record['n_texts']:,}",
            ">epoch": lambda record: f"{record['best_epoch']} of {record['n_epochs']}",
            ">held-out loss": _loss_text,
            ">trained": lambda record: duration_text(record["elapsed_s"]),
        },
        as_json=as_json,
        empty=f"no pretraining yet: python -m core tapt {shell_name(found.name)} --backbone NAME",
    )


@pretraining_app.command("show")
def show(pretraining: PretrainingArgument, root: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Show its losses by epoch, and what runs gained that were trained without and with it on the same folds."""
    workspace = opened(root)
    _print(workspace, get_pretraining(workspace.store, pretraining), as_json=as_json)


@pretraining_app.command("pair")
def pair(
    pretraining: PretrainingArgument,
    recipe: Annotated[str, typer.Option("--recipe", "-r", metavar="NAME|FILE", help="A preset, or a recipe in YAML.", show_default=False)],
    folds_id: Annotated[int | None, typer.Option("--folds", metavar="ID", help="Which split; else the newest.", show_default=False)] = None,
    sets: SetOption = None,
    queue: Annotated[bool, typer.Option("--queue", help="Only put the runs in the queue.")] = False,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a recipe without and with a pretraining on the same folds, and say what it gained.

    A gain below the noise of a retraining is none: --set train.n_seeds=3 trains each side three times.
    """
    workspace = opened(root)
    found = get_pretraining(workspace.store, pretraining)
    contest = get_contest(workspace.store, found.contest_id)
    recipes = make_pair(read_recipe(recipe, sets or []), found.ref)
    runs = launch_runs(workspace, contest, choose_folds(workspace, contest, folds_id), recipes)
    for run in runs:
        note(f"queued {run.name} ({run.ref})")
    if not queue:
        work(Engine(workspace, what="python -m core pretraining"), [run.id for run in runs], quiet=as_json)
        _print(workspace, found, as_json=as_json)
    elif as_json:
        print_json([run_record(workspace, get_run(workspace.store, run.id)) for run in runs])


@pretraining_app.command("delete")
def delete_some(
    names: Annotated[list[str], typer.Argument(metavar="PRETRAINING...", help="References such as p17, or names.", show_default=False)],
    yes: YesOption = False,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete pretrainings; they are kept in the trash for thirty days. Runs that have started from one keep their networks."""
    workspace = opened(root)
    delete(workspace, {"pretraining": [get_pretraining(workspace.store, each).id for each in names]}, yes=yes, as_json=as_json)


def _record(each: Pretraining) -> dict[str, Any]:
    before, after = each.losses
    said = ("best_epoch", "n_texts", "n_held_out", "elapsed_s", "fresh_head", "weights", "device", "precision")
    return {
        "ref": each.ref,
        "name": each.name,
        "backbone": each.recipe.model.backbone,
        "n_epochs": each.recipe.train.epochs,
        **{name: each.facts[name] for name in said},
        "held_out_loss": {"before": before, "after": after},
        "fingerprint": each.fingerprint,
        "created_at": each.created_at,
    }


def _loss_text(record: dict[str, Any]) -> str:
    return f"{record['held_out_loss']['before']:.3f} -> {record['held_out_loss']['after']:.3f}"


def _print(workspace: Workspace, each: Pretraining, *, as_json: bool) -> None:
    record = _record(each)
    gains = [
        (without, adapted, compare_sources(find_source(workspace, adapted.ref), find_source(workspace, without.ref)))
        for without, adapted in pretraining_pairs(workspace.store, each)
    ]
    if as_json:
        epochs = [{"epoch": report.epoch, "train_loss": report.train_loss, "held_out_loss": report.valid_loss} for report in each.reports]
        pairs = [{"without": without.ref, "with": adapted.ref, **duel.to_dict()} for without, adapted, duel in gains]
        print_json({**record, "recipe": each.recipe.to_dict(), "epochs": epochs, "pairs": pairs})
        return
    rows = [(str(report.epoch), f"{report.train_loss:.4f}", f"{report.valid_loss:.4f}") for report in each.reports]
    print_table([">epoch", ">train loss", ">held-out loss"], rows, title=f"{each.name} ({each.ref}): {record['backbone']}")
    if record["fresh_head"]:
        say("its weights hold no head for masked words, so that one began fresh: its first losses say little about the encoder")
    if not record["best_epoch"]:
        say("no epoch filled in the held-out texts better than before: the encoder is as it was")
    for without, adapted, duel in gains:
        say(compared_text(adapted.name, without.name, duel))
    if not gains:
        say(f"what a run gains by it: python -m core pretraining pair {each.ref} --recipe NAME")


def _work(workspace: Workspace, job: Job, *, quiet: bool) -> Job:
    """Work through the queue until this job has ended, here or in the process that holds the engine; lines say how far it is."""
    engine, said_at, said = Engine(workspace, what="python -m core tapt"), 0.0, ""
    if not engine.start() and not quiet:
        note(f"the engine of this workspace is in another process ({engine.status().held_by}): watching it")
    try:
        while (job := get_job(workspace.store, job.id)).state in ("queued", "running"):
            text = _progress_text(job.progress) if job.progress else job.state
            if text != said and not quiet and time.monotonic() - said_at >= LINE_EVERY_S:
                note(text)
                said, said_at = text, time.monotonic()
            time.sleep(TICK_S)
    except KeyboardInterrupt:
        why, fix = (
            "Ctrl-C or another signal stopped it; it is in the queue",
            "`python -m core engine`, or the workbench, continues the queue",
        )
        raise StateError("stopped before the pretraining was finished", where=job.ref, why=why, fix=fix) from None
    finally:
        engine.stop()
    return job


def _progress_text(progress: Progress) -> str:
    at = f", epoch {progress.epoch} of {progress.n_epochs}, step {progress.step} of {progress.n_steps}" if progress.epoch else ""
    loss = f", loss {progress.train_loss:.3f}" if progress.train_loss is not None else ""
    left = f", {duration_text(progress.eta_s)} left" if progress.eta_s else ""
    return f"{progress.phase}{at}{loss}{left}"
