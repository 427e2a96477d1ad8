"""Every kind of attack ends as expected; fewer guesses and connections than `python tests/web/attacks.py` tries."""

from web.attacks import attack


def test_every_attack_ends_as_expected(serve, micrographs, tmp_path):
    server = serve(micrographs, "--out", tmp_path / "out")
    rows = list(attack(server, tmp_path / "out", guesses=50, connections=200))
    assert len(rows) > 12
    assert [row for row in rows if not row.fine] == []
