"""`cache`: the reduced images and the tokens of texts that folds and runs share, how much of the disk they may take, and removing them."""

from typing import Annotated, Any

import typer

from core.commands.console import JsonOption, WorkspaceOption, commands, opened, print_records, say
from core.commands.records import when_text
from core.data.cache_space import TOKENS, CacheSettings, cache_settings, list_caches, remove_caches, save_cache_settings
from core.jobs.disk import size_text

app = commands()


@app.command("cache")
def cache(
    max_gb: Annotated[
        float | None, typer.Option(help="The most that all of them may take, in GB; 0 keeps none.", min=0, max=1e6, show_default=False)
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Remove all that no training reads now; they are made again when needed.")] = False,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the reduced images and the tokens of texts on the disk, bound what they may take, or clear them."""
    folder = opened(root).cache_dir
    if max_gb is not None:
        save_cache_settings(folder, CacheSettings(max_gb=max_gb))
    most = cache_settings(folder).max_bytes

    def fits() -> bool:
        return not clear and sum(entry.n_bytes for entry in list_caches(folder)) <= most

    removed = remove_caches(folder, fits) if clear or max_gb is not None else ()
    records: list[dict[str, Any]] = [
        {"what": entry.what, "n_bytes": entry.n_bytes, "used_at": entry.used_at} for entry in list_caches(folder)
    ]
    print_records(
        records,
        {
            "what": lambda record: "tokens of texts" if record["what"] == TOKENS else f"images of {record['what']} px",
            ">size": lambda record: size_text(record["n_bytes"]),
            "last used": lambda record: when_text(record["used_at"]),
        },
        as_json=as_json,
        empty="nothing is kept yet",
    )
    if not as_json:
        gone = f"{size_text(sum(entry.n_bytes for entry in removed))} removed; " if removed else ""
        say(f"{gone}{size_text(sum(record['n_bytes'] for record in records))} of at most {size_text(most)}")
