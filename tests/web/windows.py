"""What random histories hold to be true of a micrograph, and what a window of the page shows, as `labels.js` does."""

from dataclasses import dataclass, field

import numpy as np

KINDS = ("add", "remove", "move", "add_areas", "remove_areas", "reject", "unreject")
PLACES = ("labels", "areas", "rejected")


def near(places, expected, tolerance=1.0):
    """Return whether places are where they should be, in this order, to within some pixels."""
    return len(places) == len(expected) and np.allclose(places, expected, atol=tolerance)


@dataclass
class Sheet:
    """The truth about one micrograph."""

    labels: dict = field(default_factory=dict)
    areas: dict = field(default_factory=dict)
    rejected: dict = field(default_factory=dict)
    done: list = field(default_factory=list)
    undone: list = field(default_factory=list)
    flag: str | None = None
    ids: set = field(default_factory=set)

    def state(self):
        return {name: dict(getattr(self, name)) for name in PLACES}

    def edited(self, change, edit_id):
        before = self.state()
        apply(self, change)
        self.done.append((before, self.state()))
        self.undone.clear()
        self.ids.add(edit_id)
        self.settle()

    def stepped(self, way):
        here, there = (self.done, self.undone) if way == "undo" else (self.undone, self.done)
        if here:
            before, after = here.pop()
            there.append((before, after))
            for name, value in (before if way == "undo" else after).items():
                setattr(self, name, dict(value))
            self.settle()

    def settle(self):
        if self.labels and self.flag == "empty":
            self.flag = None


def apply(sheet, change):
    """Change labels, areas and rejected places."""
    for name, added, gone in (
        ("labels", "add", "remove"),
        ("areas", "add_areas", "remove_areas"),
        ("rejected", "reject", "unreject"),
    ):
        rows = getattr(sheet, name)
        for n in change.get(gone, ()):
            rows.pop(n, None)
        for row in change.get(added, ()):
            rows[row[0]] = row[1] if added == "add_areas" else row[1:]
    for n, *place in change.get("move", ()):
        sheet.labels[n] = place


class Window:
    """One window of the page, as `labels.js` keeps it."""

    def __init__(self, name):
        self.name, self.n_edits, self.current = name, 0, None
        self.sheets = {}  # micrograph id to a sheet with edits that wait, or the one on the screen
        self.changes = 0

    def show(self, answer):
        sheet = self.sheets.get(answer["id"]) or Local()
        sheet.take(answer)
        self.sheets[answer["id"]] = sheet
        self.current = answer["id"]

    def edit(self, change):
        """Change what is shown, and let it wait."""
        sheet = self.sheets[self.current]
        apply(sheet, change)
        sheet.waiting.append((f"{self.name}-{self.n_edits:08d}", change))
        self.n_edits += 1


class Local:
    """What a window shows of one micrograph, and its edits that wait."""

    def __init__(self):
        self.labels, self.areas, self.rejected = {}, {}, {}
        self.revision, self.next_number, self.stale = 0, 1, False
        self.waiting = []

    def take(self, answer):
        self.labels = {n: place for n, *place in answer["labels"]}
        self.areas = {n: points for n, points in answer["areas"]}
        self.rejected = {n: place for n, *place in answer["rejected"]}
        self.revision = answer["revision"]
        self.next_number = max(self.next_number, answer.get("next_number", 0))

    def number(self):
        self.next_number += 1
        return self.next_number - 1

    def refit(self):
        """Fit the edits that wait to what the server has."""
        renamed, fitted = {}, []

        def fresh(rows):
            return [(renamed.setdefault(n, self.number()), *rest) for n, *rest in rows]

        for edit_id, change in self.waiting:
            known = {
                kind: [renamed.get(n, n) for n in change.get(kind, ())]
                for kind in KINDS
                if "rem" in kind or kind == "unreject"
            }
            new = {
                "remove": [n for n in known["remove"] if n in self.labels],
                "move": [
                    (renamed.get(n, n), *p) for n, *p in change.get("move", ()) if renamed.get(n, n) in self.labels
                ],
                "remove_areas": [n for n in known["remove_areas"] if n in self.areas],
                "unreject": [n for n in known["unreject"] if n in self.rejected],
                "add": fresh(change.get("add", ())),
                "add_areas": fresh(change.get("add_areas", ())),
                "reject": fresh(change.get("reject", ())),
            }
            apply(self, new)
            if any(new.values()):
                fitted.append((edit_id, new))
        self.waiting = fitted
