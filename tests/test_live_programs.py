"""A live test without its program is skipped, except where its part was asked for."""

import pytest

from live.programs import need_program


def test_a_missing_program_skips_the_test_with_the_reason(monkeypatch):
    monkeypatch.setenv("VITRIPICK_LIVE", "slurm")
    with pytest.raises(pytest.skip.Exception, match="no_such_program is missing; ask for it"):
        need_program("relion", "no_such_program", how="ask for it")


def test_a_missing_program_fails_the_test_if_its_part_was_asked_for(monkeypatch):
    monkeypatch.setenv("VITRIPICK_LIVE", "slurm, relion")
    with pytest.raises(pytest.fail.Exception, match="VITRIPICK_LIVE names relion, but the program no_such_program"):
        need_program("relion", "no_such_program", how="ask for it")
