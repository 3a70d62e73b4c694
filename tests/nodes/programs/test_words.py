"""What is filled into a program's words, and what is not."""

from __future__ import annotations

from dmmlab.nodes.programs.words import filled, unknown

WORDS = ("curl", "http://{host}:{port}/{name}", "{address}", "{{address}}", '{"a": {"b": 1}}')


def test_placeholders_are_filled_in() -> None:
    assert filled(WORDS, "10.1.1.100", 30000, "mn1.mn.dmm.test") == [
        "curl",
        "http://10.1.1.100:30000/mn1.mn.dmm.test",
        "10.1.1.100",
        "{address}",
        '{"a": {"b": 1}}',
    ]


def test_an_ipv6_address_has_brackets_in_a_url_and_nowhere_else() -> None:
    assert filled(("{host}", "{address}"), "2001:db8::1", 1, "") == ["[2001:db8::1]", "2001:db8::1"]


def test_what_is_filled_in_never_makes_another_word() -> None:
    assert filled(("echo", "{name}"), "", 1, "a b; rm -rf $HOME {port}") == ["echo", "a b; rm -rf $HOME {port}"]


def test_unknown_placeholders_are_found() -> None:
    assert list(unknown(("{port}{adress}", "{{print}}", "{print}"))) == ["adress", "print"]
