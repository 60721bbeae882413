"""What a hand does on a page in a test: press a button, flip a switch, choose, set an option; each finds its widget by its label, a section by its key."""

from __future__ import annotations

from typing import Any

from streamlit.testing.v1 import AppTest


def press(at: AppTest, label: str) -> AppTest:
    (button,) = [button for button in at.button if button.label == label]
    return button.click().run()


def flip(at: AppTest, label: str) -> AppTest:
    (toggle,) = [toggle for toggle in at.toggle if toggle.label == label]
    return toggle.set_value(not toggle.value).run()


def unfold(at: AppTest, part: str) -> AppTest:
    """Open what is drawn while it is open, by a part of its key."""
    return _set(at, part, is_open=True)


def fold(at: AppTest, part: str) -> AppTest:
    """Close it."""
    return _set(at, part, is_open=False)


def _set(at: AppTest, part: str, *, is_open: bool) -> AppTest:
    (key,) = [key for key in at.session_state if part in key]
    at.session_state[key] = is_open
    return at.run()


def choose(at: AppTest, label: str, value: Any) -> AppTest:
    (group,) = [group for group in at.button_group if group.label == label]
    return group.set_value(value).run()


def set_option(at: AppTest, label: str, value: Any) -> AppTest:
    (widget,) = [widget for widget in [*at.number_input, *at.selectbox] if widget.label == label]
    return widget.set_value(value).run()


def write(at: AppTest, label: str, text: str) -> AppTest:
    (box,) = [box for box in at.text_input if box.label == label]
    return box.set_value(text).run()
