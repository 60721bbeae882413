"""Streamlit's own markdown in a real browser: what `plain` escaped is shown as it was typed, in every kind of element."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open

TYPED = [
    *(":material/home:", ":material_home:", ":smile:", ":+1:", ":streamlit:", ":a:b:c:", ":red[x]", "a::b::c", "a:b", "::: x"),
    *("a -> b", "<->", "a <- b", "--", "a >= b", "~=", "(-> --)", "&lt;b&gt; &amp;", "$x$", "<b>x</b>", "[x](http://evil.example)"),
    *("http://evil.example/x", "HTTPS://evil.example", "https://www.evil.example", "www.evil.example", "WWW.evil.example/a"),
    *("me@evil.example", "a.-b@evil.example", "mailto:me@evil.example", "xmpp:me@evil.example", "<me@evil.example>", "//evil.example"),
    *("# x", "1. x", "- x", "`x`", "~~x~~", "|a|b|", "---", "===", "x^2^", "[^1]", "a\\b", "![x](y)", "*a* _b_", "> x"),
]
SCRIPT = """
import sys
sys.path.insert(0, "{root}")
import streamlit as st
from app.ui.format import plain
for n, text in enumerate(TYPED):
    said = plain(text)
    with st.container(key=f"typed-{{n}}"):
        st.markdown(said)
        st.markdown(f"see: **{{said}}**, and")
        st.caption(said)
        st.subheader(said, anchor=False)
        st.error(said, title=said)
        st.button(said, key=f"button-{{n}}")
        st.pills("pills", [said], key=f"pills-{{n}}", label_visibility="collapsed")
        st.expander(said)
        st.metric(said, 1)
"""
N_SHOWN = 10


@pytest.mark.browser
def test_what_was_typed_is_what_is_shown(serve_script: Callable[[str], str], open_page: Open) -> None:
    page = open_page(serve_script(SCRIPT.replace("TYPED", repr(TYPED).replace("{", "{{").replace("}", "}}"))))
    expect(page.locator(f".st-key-typed-{len(TYPED) - 1} [data-testid=stMetric]")).to_be_visible()
    for number, text in enumerate(TYPED):
        box = page.locator(f".st-key-typed-{number}")
        shown = box.evaluate("box => box.textContent")
        assert shown.count(text) >= N_SHOWN, f"{text}: {shown}"
        assert not box.locator("a, img, [data-testid=stMarkdownContainer] [role=img]").count(), text
