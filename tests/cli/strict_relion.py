"""A reader of STAR as strict as RELION's own, written from its dialect alone: nothing of ours is used here.

A blank line ends a loop; a blank stands between label and #n; labels are numbered from 1; rows have the loop's width;
no comments inside a loop; LF only; a final newline; values are split at blanks and nothing is quoted.
"""

import re


def read_star(path):
    data = path.read_bytes()
    assert data, f"{path}: empty"
    assert b"\r" not in data
    assert data.endswith(b"\n")
    blocks, block, labels, rows, state = {}, None, None, None, "outside"
    for line in data.decode("ascii").split("\n")[:-1]:
        text = line.strip()
        if state == "rows" and not text:
            state = "outside"
        elif state == "rows":
            assert not text.startswith("#"), f"{path}: a comment inside a loop"
            assert '"' not in text
            assert "'" not in text
            values = text.split()
            assert len(values) == len(labels), f"{path}: {text}"
            rows.append(dict(zip(labels, values, strict=True)))
        elif state == "labels" and text.startswith("_"):
            match = re.fullmatch(r"_(\w+) #(\d+)", text)
            assert match, f"{path}: {text}"
            assert int(match[2]) == len(labels) + 1
            labels.append(match[1])
        elif state == "labels" and text:
            state = "rows"
            values = text.split()
            assert len(values) == len(labels), f"{path}: {text}"
            rows.append(dict(zip(labels, values, strict=True)))
        elif state == "labels":
            state = "outside"
        elif not text or text.startswith("#"):
            continue
        elif text.startswith("data_"):
            block = text[len("data_") :]
            assert block not in blocks
        elif text == "loop_":
            labels, rows = [], []
            blocks[block] = (labels, rows)
            state = "labels"
        else:
            raise AssertionError(f"{path}: {text}")
    return blocks
