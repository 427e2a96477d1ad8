"""Link ends, the best pair first: nodes with two ends each become runs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.intp]


def runs_of(ends: Indices, n: int) -> list[Indices]:
    """Return runs of nodes, from links in the order in which they are to be made; each slot takes one link.

    Parameters
    ----------
    ends : (m, 2)
        Slots: node times two, plus 0 or 1 for its side.
    n
        Number of nodes.

    Returns
    -------
    list of (k,)
        The slots by which a run enters its nodes, in order: the slot over two is the node.
    """
    partner = [-1] * (2 * n)
    parent = list(range(n))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for a, b in ends.tolist():
        if partner[a] < 0 and partner[b] < 0:
            first, second = root(a // 2), root(b // 2)
            if first != second:  # a run must not become a ring
                parent[first] = second
                partner[a], partner[b] = b, a
    runs, seen = [], [False] * n
    for node in range(n):
        if seen[node] or (partner[2 * node] >= 0 and partner[2 * node + 1] >= 0):
            continue
        leave = 2 * node + (1 if partner[2 * node] < 0 else 0)
        run = [leave ^ 1]
        seen[node] = True
        while partner[leave] >= 0:
            enter = partner[leave]
            seen[enter // 2] = True
            run.append(enter)
            leave = enter ^ 1
        runs.append(np.array(run, np.intp))
    return runs
