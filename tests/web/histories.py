"""Random histories of a project: two windows of the page, a server that dies, lost answers, a full disk.

`Histories` is the machine that hypothesis drives. It keeps the truth: what the project must hold after each answer. A
window works as `labels.js` does: an edit acts at once, waits with its id, is sent until it is answered, and is fitted
to what is there after another window was faster. What a window calls saved must be there after every restart, once.
"""

import contextlib
import copy
import functools
import http.client
import json
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from vitripick.formats import read_picks
from web.killable import FAULTS, FULL
from web.nursery import Nursery
from web.windows import KINDS, PLACES, Local, Sheet, Window

WINDOWS = MICROGRAPHS = st.integers(0, 1)


EDITS = {
    "which": WINDOWS,
    "kind": st.sampled_from(["add", *KINDS, "add", "move"]),
    "pick": st.integers(0, 9),
    "more": st.booleans(),
    "at_once": st.booleans(),
}


class Lost(Exception):
    """No answer came."""


def happens(*, needs_server=True, **draws):
    """Make a rule of a method; a server that dies on the way is part of what happens."""

    def made(method):
        @functools.wraps(method)
        def run(self, **drawn):
            # Rules are not preconditions on the server: what is drawn must not depend on the moment at which it dies.
            if needs_server:
                self.restart()
            with contextlib.suppress(Lost):
                method(self, **drawn)

        return rule(**draws)(run)

    return made


class Histories(RuleBasedStateMachine):
    """See the top of this file."""

    nursery = None

    def __init__(self):
        super().__init__()
        self.out = Path(tempfile.mkdtemp(prefix="history-"))
        (self.out / "faults").write_bytes(FAULTS.pack(0, 0, 0))
        self.pid = None
        self.full = 0
        self.n_places = 0
        self.settings = {"box_size_px": 7.0, "threshold": 0.3}
        self.maybe_settings = None
        self.added = []  # every place that a window ever added, in words of the log
        self.start()
        self.ids = [row[0] for row in self.ask("GET", "/api/project")[1]["micrographs"]]
        self.truth = {name: Sheet() for name in self.ids}
        # What a micrograph holds if the request that got no answer was carried out.
        self.maybe = {}
        self.windows = [Window(f"window{i}") for i in range(2)]
        for i, window in enumerate(self.windows):
            window.show(self.ask("GET", f"/api/micrographs/{self.ids[i]}")[1])

    # The server

    def start(self):
        self.pid, link = self.nursery.start(self.out)
        address, _, token = link.partition("/?token=")
        self.origin = address
        self.connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
        self.connection.request("GET", f"/?token={token}")
        response = self.connection.getresponse()
        response.read()
        self.headers = {
            "Cookie": response.getheader("set-cookie").partition(";")[0],
            "X-Vitripick-Key": response.getheader("location").partition("#key=")[2],
            "Origin": address,
            "Content-Type": "application/json",
        }

    def kill(self):
        if self.pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        while os.path.exists(f"/proc/{self.pid}"):
            time.sleep(0.001)
        self.connection.close()
        self.pid = None

    def faults(self, *, die_at=0, torn=0, full=None):
        self.full = self.full if full is None else full
        with (self.out / "faults").open("r+b") as file:
            file.write(FAULTS.pack(die_at, torn, self.full))

    def ask(self, method, path, body=None):
        """Return status and answer, or raise `Lost` where the server died."""
        try:
            self.connection.request(method, path, None if body is None else json.dumps(body), self.headers)
            response = self.connection.getresponse()
            return response.status, json.loads(response.read())
        except (http.client.HTTPException, OSError):
            self.kill()
            raise Lost from None

    def restart(self):
        """Start the server again, and compare what it has with the truth."""
        if self.pid is not None:
            return
        self.faults()
        self.start()
        self.compare()

    def compare(self):
        """Hold the truth against the server; a request without an answer was carried out, or it was not."""
        rows = {row[0]: row for row in self.ask("GET", "/api/project")[1]["micrographs"]}
        for name in self.ids:
            status, answer = self.ask("GET", f"/api/micrographs/{name}")
            assert status == 200, answer
            found = Local()
            found.take(answer)
            found = {part: {n: as_row(row) for n, row in getattr(found, part).items()} for part in PLACES}
            # Without room, the mark "empty" goes from a micrograph with labels when there is room again.
            flag = None if self.full and answer["flag"] == "empty" and found["labels"] else answer["flag"]
            seen = (found, flag, answer["can_undo"], answer["can_redo"])
            maybe = self.maybe.pop(name, None)
            if maybe is not None and seen == described(maybe):
                self.truth[name] = maybe
            assert seen == described(self.truth[name]), (name, seen, described(self.truth[name]))
            assert (rows[name][2], rows[name][3]) == (len(found["labels"]), answer["flag"]), rows[name]
        found = self.ask("GET", "/api/project")[1]["settings"]
        if self.maybe_settings and all(found[k] == v for k, v in self.maybe_settings.items()):
            self.settings = self.maybe_settings
        self.maybe_settings = None
        assert {key: found[key] for key in self.settings} == self.settings

    # The windows

    def send(self, window, name, *, lost=False):
        """Send the oldest edit that waits; return whether the window knows that it is saved."""
        sheet = window.sheets[name]
        if sheet.stale:
            status, answer = self.ask("GET", f"/api/micrographs/{name}")
            if status != 200:
                assert self.full
                return False
            sheet.take(answer)
            sheet.stale = False
            sheet.refit()
            return True
        edit_id, change = sheet.waiting[0]
        after = copy.deepcopy(self.truth[name])
        if edit_id not in after.ids:
            after.edited(change, edit_id)
        self.maybe[name] = after
        status, answer = self.ask(
            "POST", f"/api/micrographs/{name}/edit", {"revision": sheet.revision, "id": edit_id, **change}
        )
        del self.maybe[name]
        if status == 200:
            self.truth[name] = after
            if lost:
                return False
            sheet.waiting.pop(0)
            sheet.revision = answer["revision"]
            sheet.stale = answer["behind"]
            return True
        assert status == 409 or (status == 507 and self.full), (status, answer)
        sheet.stale = status == 409 or sheet.stale
        return status == 409

    def flush(self, window):
        """Send all that waits; return whether it is saved."""
        if self.pid is None:
            return False
        for name, sheet in window.sheets.items():
            for _ in range(200):
                if not (sheet.stale or sheet.waiting):
                    break
                if not self.send(window, name):
                    return False
            else:
                raise AssertionError("an edit is never taken")
        return True

    def poll(self, window):
        """Hear what other windows did."""
        answer = self.ask("GET", f"/api/status?since={window.changes}")[1]
        window.changes = answer["changes"]
        sheet = window.sheets[window.current]
        known = answer["revisions"].get(window.current, 0)
        if not sheet.waiting and (known is None or known > sheet.revision):
            sheet.stale = True
            self.flush(window)

    def place(self):
        """Return a place where nothing ever was."""
        self.n_places += 1
        return [float(self.n_places % 115), float(self.n_places // 115) + 0.25]

    # What happens

    @initialize(size=st.sampled_from([7, 20]))
    def box(self, size):
        self.change_settings(self.windows[0], {"box_size_px": float(size)})

    def _edit(self, which, kind, pick, more, at_once):
        window = self.windows[which]
        sheet = window.sheets[window.current]
        change = {}
        if kind in ("add", "reject"):
            change[kind] = [[sheet.number(), *self.place()] for _ in range(1 + more)]
            self.added += [(window.current, kind, row[1:]) for row in change[kind]]
        elif kind == "add_areas":
            x, y = self.place()
            change[kind] = [[sheet.number(), [[x, y], [x + 9, y], [x, y + 9]]]]
        else:
            rows = {"remove_areas": sheet.areas, "unreject": sheet.rejected}.get(kind, sheet.labels)
            if not rows:
                return
            n = list(rows)[pick % len(rows)]
            change[kind] = [[n, *self.place()]] if kind == "move" else [n]
        window.edit(change)
        if at_once:
            self.flush(window)

    # Most of what happens should be edits.
    edit = happens(needs_server=False, **EDITS)(_edit)
    edit_too = happens(needs_server=False, **EDITS)(_edit)
    edit_also = happens(needs_server=False, **EDITS)(_edit)

    @happens(which=WINDOWS)
    def save(self, which):
        self.flush(self.windows[which])

    @happens(which=WINDOWS)
    def lose_an_answer(self, which):
        window = self.windows[which]
        sheet = window.sheets[window.current]
        if sheet.waiting and not sheet.stale:
            self.send(window, window.current, lost=True)

    @happens(which=WINDOWS, die_at=st.integers(1, 6), torn=st.sampled_from([0, 0, 1, 7, 20]))
    def die_while_saving(self, which, die_at, torn):
        self.faults(die_at=die_at, torn=torn)
        try:
            self.flush(self.windows[which])
        finally:
            self.faults()

    @happens(which=WINDOWS, way=st.sampled_from(["undo", "undo", "redo"]), die_at=st.sampled_from([0, 0, 0, 1, 2, 3]))
    def step(self, which, way, die_at):
        window = self.windows[which]
        if not self.flush(window):
            return
        name = window.current
        sheet = window.sheets[name]
        after = copy.deepcopy(self.truth[name])
        after.stepped(way)
        self.maybe[name] = after
        self.faults(die_at=die_at)
        try:
            status, answer = self.ask("POST", f"/api/micrographs/{name}/{way}", {"revision": sheet.revision})
        except Lost:
            sheet.stale = True
            return
        self.faults()
        del self.maybe[name]
        if status == 200:
            self.truth[name] = after
            sheet.take(answer)
        else:
            assert status == 409 or (status == 507 and self.full), (status, answer)
            sheet.stale = True

    @happens(
        which=WINDOWS,
        flag=st.sampled_from(["complete", "empty", "excluded", None]),
        die_at=st.sampled_from([0, 0, 0, 1, 2, 3, 4]),
    )
    def mark(self, which, flag, die_at):
        window = self.windows[which]
        if not self.flush(window):
            return
        name = window.current
        after = copy.deepcopy(self.truth[name])
        after.flag = flag
        self.maybe[name] = after
        self.faults(die_at=die_at)
        try:
            status, _ = self.ask("POST", f"/api/micrographs/{name}/flag", {"flag": flag})
        except Lost:
            return
        self.faults()
        del self.maybe[name]
        if status == 200:
            self.truth[name] = after
        else:
            assert (status == 400 and flag == "empty" and self.truth[name].labels) or (status == 507 and self.full)

    @happens(
        which=WINDOWS,
        values=st.one_of(
            st.fixed_dictionaries({"box_size_px": st.sampled_from([9.0, 16.0, 33.0])}),
            st.fixed_dictionaries({"threshold": st.sampled_from([0.1, 0.5])}),
        ),
        die_at=st.sampled_from([0, 0, 1, 2, 3, 5]),
    )
    def set(self, which, values, die_at):
        self.faults(die_at=die_at)
        try:
            self.change_settings(self.windows[which], values)
        finally:
            self.faults()

    def change_settings(self, window, values):
        self.maybe_settings = {**self.settings, **values}
        status, answer = self.ask("POST", "/api/settings", values)
        if status == 200:
            self.settings = self.maybe_settings
        else:
            assert status == 507, answer
            assert self.full
        self.maybe_settings = None

    @happens(which=WINDOWS)
    def hear(self, which):
        self.poll(self.windows[which])

    @happens(which=WINDOWS, micrograph=MICROGRAPHS)
    def open(self, which, micrograph):
        window = self.windows[which]
        if self.flush(window):
            status, answer = self.ask("GET", f"/api/micrographs/{self.ids[micrograph]}")
            assert status == 200 or self.full, answer
            if status == 200:
                window.show(answer)

    @happens(needs_server=False, full=st.integers(1, len(FULL) - 1))
    def fill_the_disk(self, full):
        self.faults(full=full)

    @happens(needs_server=False)
    def make_room(self):
        self.faults(full=0)

    @happens()
    def kill_it(self):
        self.kill()

    @happens(needs_server=False, which=MICROGRAPHS, keep=st.booleans())
    def another_program(self, which, keep):
        """Change a label file while no server runs: it is taken over as an edit."""
        # Only where it is known what the file has: with a history whose end is not known, either may win.
        name = self.ids[which]
        path = self.out / "p" / "labels" / f"mic{which}.csv"
        history = self.out / "p" / "history" / f"mic{which}.jsonl"
        if self.full or not (path.is_file() and history.is_file()):
            return
        self.restart()
        self.kill()
        truth = self.truth[name]
        x, y = self.place()
        rows = [truth.labels[n] for n in truth.labels] if keep else []
        path.write_text("x,y,width,height\n" + "".join(f"{px},{py},20,20\n" for px, py in [*rows, (x, y)]))
        self.start()
        answer = self.ask("GET", f"/api/micrographs/{name}")[1]
        kept = [place for _, *place in answer["labels"]]
        assert sorted(kept) == sorted([*rows, [x, y]])
        assert answer["can_undo"] == len(truth.done) + 1
        found = Local()
        found.take(answer)
        before = truth.state()
        truth.labels = found.labels
        truth.done.append((before, truth.state()))
        truth.undone.clear()
        truth.settle()

    def teardown(self):
        try:
            self.finish()
        finally:
            self.kill()
            shutil.rmtree(self.out, ignore_errors=True)

    def finish(self):
        """With room on the disk and a server, everything is saved, everywhere the same, and there after a restart."""
        self.faults(full=0)
        self.restart()
        for _ in range(2):
            for window in self.windows:
                assert self.flush(window)
        for window in self.windows:
            self.poll(window)
            sheet = window.sheets[window.current]
            truth = self.truth[window.current]
            assert {p: rows_of(getattr(sheet, p)) for p in PLACES} == {p: rows_of(getattr(truth, p)) for p in PLACES}
        self.compare()
        self.kill()
        self.restart()
        self.sizes_are_written()
        self.every_edit_stands_once()

    def sizes_are_written(self):
        project = self.out / "p" / "project.json"
        end = time.monotonic() + 60
        while "sizes_pending" in json.loads(project.read_text()):
            assert time.monotonic() < end
            time.sleep(0.005)
        for i, name in enumerate(self.ids):
            path = self.out / "p" / "labels" / f"mic{i}.csv"
            truth = self.truth[name]
            places = sorted(map(tuple, truth.labels.values()))
            assert path.is_file() == bool(places or truth.flag in ("complete", "empty"))
            if path.is_file():
                boxes = read_picks(path)
                assert sorted(map(tuple, boxes.centres.tolist())) == places
                assert not places or boxes.box_size_px == self.settings["box_size_px"]
            path = self.out / "p" / "areas" / f"mic{i}.json"
            said = json.loads(path.read_text()) if path.is_file() else {"ignored": [], "rejected": []}
            assert sorted(said["ignored"]) == sorted(truth.areas.values())
            assert sorted(said["rejected"]) == sorted(map(list, truth.rejected.values()))

    def every_edit_stands_once(self):
        for i, name in enumerate(self.ids):
            path = self.out / "p" / "history" / f"mic{i}.jsonl"
            lines = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
            written = [
                (kind, row[1:])
                for line in lines
                for kind in ("add", "reject")
                for row in line.get("edit", {}).get(kind, ())
            ]
            for micrograph, kind, place in self.added:
                assert micrograph != name or written.count((kind, place)) == 1, (kind, place)


def as_row(row):
    return [list(p) for p in row] if row and isinstance(row[0], (list, tuple)) else list(row)


def rows_of(rows):
    return {n: as_row(row) for n, row in rows.items()}


def described(sheet):
    """Return what the server shows of a sheet."""
    return {p: rows_of(getattr(sheet, p)) for p in PLACES}, sheet.flag, len(sheet.done), len(sheet.undone)


def run_histories(n, *, steps, **options):
    """Run random histories; one that fails is printed line by line."""
    Histories.nursery = Nursery()
    try:
        run_state_machine_as_test(
            Histories,
            settings=settings(
                max_examples=n, stateful_step_count=steps, suppress_health_check=list(HealthCheck), **options
            ),
        )
    finally:
        Histories.nursery.close()
