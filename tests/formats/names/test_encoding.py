"""Names of files come through in every format and every locale, or are refused in one sentence."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vitripick.errors import UsageError
from vitripick.formats import FORMATS, find_micrographs, read_all_picks, read_picks, write_joined_picks, write_picks
from vitripick.geometry import Boxes
from vitripick.runs import convert_picks
from vitripick.runs.watch.arrivals import FolderSource

ODD_NAMES = ["ü.mrc", "mic ü.mrc", "a\tb.mrc", "a\u2028b.mrc", "a\x85b.mrc", "a\nb.mrc", "a\rb.mrc", "a\x0cb.mrc"]
ODD_NAMES += ["a\x1cb.mrc", 'a"b.mrc', "'a b\"c.mrc", " a.mrc", "#a.mrc", "a,b.mrc", "_rlnX.mrc", "\udcfcx.mrc"]


def picks_of(name):
    boxes = Boxes.at(np.array([10.0, 20.0]), np.array([30.0, 40.0]), confidence=np.array([0.5, 0.6]))
    return boxes.with_size(20).of(micrograph=name, shape=(100, 100), pixel_size=1.0)


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("kind", [entry for entry in FORMATS.values() if entry.write], ids=lambda entry: entry.name)
def test_a_name_comes_back_as_it_was_or_is_refused_in_a_sentence(kind, name, tmp_path):
    path = tmp_path / f"x{kind.suffixes[0]}"
    names = [name, "zz.mrc"] if kind.write_joined else [name]
    refused = ""
    try:
        if kind.write_joined:
            write_joined_picks([picks_of(one) for one in names], path, format=kind.name)
        else:
            write_picks(picks_of(name), path, format=kind.name)
    except UsageError as error:
        refused = str(error)
    assert path.exists() == (refused == "")
    if refused or kind.read is None:
        assert refused == "" or "rename" in refused
        return
    parts = read_all_picks(path, format=kind.name)
    assert [len(boxes) for boxes in parts] == [2] * len(names)
    if kind.write_joined:
        bare = [one.removesuffix(".mrc") for one in names] if kind.name == "topaz" else names
        assert sorted(str(boxes.micrograph) for boxes in parts) == sorted(bare)


def test_in_a_locale_that_is_not_utf8_names_beyond_ascii_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("m/mic ü.mrc", "m/b.mrc", "l/ü.box"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("10\t20\t30\t30\n")
    assert len(find_micrographs(["m"])) == 2
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "iso8859-1")
    with pytest.raises(UsageError, match=r"mic ü\.mrc.*iso8859-1, not UTF-8; set LC_ALL=C\.UTF-8"):
        find_micrographs(["m"])
    with pytest.raises(UsageError, match="not UTF-8"):
        read_all_picks("l")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_all_picks("l/ü.box")  # a file that names no micrograph gives its own name
    with pytest.raises(UsageError, match="not UTF-8"):
        convert_picks("l/ü.box", "a.star", micrographs="m/mic ü.mrc")
    assert read_picks("l/ü.box").micrograph is None
    # A watcher goes on with the others.
    source = FolderSource(Path("m"), Path("out"))
    assert [file.name for file, _ in source.scan(set())] == ["b.mrc"]
    assert "not UTF-8" in source.passed_by[0].reason


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one encoding of names")
def test_the_command_refuses_such_names_in_one_sentence(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "mic ü.mrc").touch()
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "vitripick.cli.app", "pick", "m", "--out", "out", "--diameter-px", "20"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"set LC_ALL=C.UTF-8" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one encoding of names")
def test_relative_outputs_are_written_in_a_folder_whose_name_is_not_utf8(tmp_path, monkeypatch):
    (tmp_path / "w\udcfc").mkdir()
    monkeypatch.chdir(tmp_path / "w\udcfc")
    Path("a.box").write_text("10\t20\t30\t30\n")
    assert convert_picks("a.box", "a.star") == [Path("a.star")]
    with pytest.raises(UsageError, match=r"w\\xfc/a\.star: the bytes of this name are not UTF-8"):
        convert_picks("a.box", Path("a.star").absolute())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one encoding of names")
def test_letters_that_the_terminal_lacks_are_printed_as_json_escapes_them(tmp_path):
    (tmp_path / "a.csv").write_text("micrograph,x,y\n,1,2\nü.mrc,1,2\n", encoding="utf-8")
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    printed = []
    for line in (["simulate", "--list"], ["convert", "a.csv", "a.star", "--json"]):
        command = [sys.executable, "-m", "vitripick.cli.app", *line]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout.decode("ascii"))
    assert r" \u00c5" in printed[0]
    assert json.loads(printed[1])["picks"] == 1
