import pytest

from vitripick.json_toml import parse_json, parse_json_object, parse_toml, read_json_object, read_toml

DIGITS = "9" * 4301


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 1000 + "]" * 1000,
        "{" * 200,
        DIGITS,
        f"[{DIGITS}]",
        "9" * 311,
        "1e999",
        "NaN",
        '{"x": -Infinity}',
        b"\xff",
        b'"\xfc"',
        r'"\ud800"',
    ],
)
def test_json_that_cannot_be_used_is_a_value_error(text):
    with pytest.raises(ValueError):
        parse_json(text)


@pytest.mark.parametrize(
    "text",
    ["x", "x = ", f"x = {DIGITS}", "x = nan", "x = -inf", "x = 1e999", "x = " + "[" * 500, ".".join("a" * 500) + "=1"],
)
def test_toml_that_cannot_be_used_is_a_value_error(text):
    with pytest.raises(ValueError):
        parse_toml(text)


def test_a_list_is_no_json_object():
    with pytest.raises(ValueError, match="holds a list"):
        parse_json_object("[1]")


def test_what_our_files_hold_is_read(tmp_path):
    text = '{"seed": 340282366920938463463374607431768211455, "x": [1.5, -2e-3, null, true], "name": "µ [{"}'
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_json_object(tmp_path / "a.json") == {"seed": 2**128 - 1, "x": [1.5, -0.002, None, True], "name": "µ [{"}
    (tmp_path / "a.toml").write_text("x = 0.5\n[a.b]\nc = [1, 2]\n")
    assert read_toml(tmp_path / "a.toml") == {"x": 0.5, "a": {"b": {"c": [1, 2]}}}


def test_a_missing_file_stays_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_json_object(tmp_path / "none.json")
