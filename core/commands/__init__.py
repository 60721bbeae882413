"""The commands of `python -m core`, one file per stage of the line."""
