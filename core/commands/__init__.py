"""The commands of `python -m core`, one file per part of the line, loaded when one of its commands is called."""
