"""Make what several tests need: micrographs of rings and of discs, and a snapshot of a folder.

Each function gives the same pixels for the same seed, because tests compare files byte for byte.
"""

import itertools

import numpy as np

from vitripick.geometry import Boxes


def rings(seed=0, *, shape=(400, 400), x=(80, 200, 320), y=(80, 200, 320)):
    """Return a micrograph of dark rings of 60 px in noise, one at each crossing of the columns `x` and the rows `y`.

    The bundled model knows such rings. The image is float32; by default it holds nine of them.
    """
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    image = rng.standard_normal(shape) * 1.5
    for cy, cx in itertools.product(y, x):
        image -= np.exp(-0.5 * ((np.hypot(columns - cx, rows - cy) - 23) / 4.5) ** 2) * 1.2
    return image.astype(np.float32)


def discs(seed, *, shape=(160, 192), n=15):
    """Return a micrograph of dark discs of 20 px in noise, and their boxes.

    The discs lie on a shaken grid of three rows and five columns; `n` takes the first of them. A model learns them in
    seconds. The image is float32.
    """
    rng = np.random.default_rng(seed)
    grid_y, grid_x = np.mgrid[:3, :5] * 36.0 + 26.0
    x, y = ((grid + rng.uniform(-5, 5, grid.shape)).ravel()[:n] for grid in (grid_x, grid_y))
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    image = rng.standard_normal(shape)
    for cx, cy in zip(x, y, strict=True):
        image -= 1.6 * (np.hypot(columns - cx, rows - cy) < 10)
    return image.astype(np.float32), Boxes.at(x, y, size_px=20, shape=shape)


def snapshot(folder, *, leave_out=("log",), wherever=False):
    """Return the bytes of every file below a folder, by its path relative to that folder.

    `leave_out` names entries of the folder itself: by default the log of a run, which holds times. With `wherever`,
    the folder's own path counts as "OUT", so that runs at two places can be equal.
    """
    return {
        path.relative_to(folder).as_posix(): (
            path.read_bytes().replace(str(folder).encode(), b"OUT") if wherever else path.read_bytes()
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in leave_out
    }


def fake_batch_system(folder):
    """Make stand-ins for the programs of Slurm, SGE, PBS and LSF, and return their folder.

    A job is a folder with its number: `script`, `pid`, and `ended` once it is over. Files beside them say what becomes
    of jobs: with `starts` the script runs here, with `fails` it prints a line and ends, without both it waits. With
    `refuses` its text is the answer to every job, or to those after the number in `limit`; `answer` holds another one.
    """
    folder.mkdir()
    submit = f"""#!/bin/bash
cd {folder}
for ((n = 1; ; n++)); do mkdir $n 2>/dev/null && break; done
if [ -e refuses ] && [ $n -gt "$(cat limit 2>/dev/null || echo 0)" ]; then rm -r $n; cat refuses >&2; exit 1; fi
if [ -e answer ]; then cat answer; exit; fi
if [ -n "$1" ]; then cat "$1" > $n/script; else cat > $n/script; fi
log=$(sed -n "s/^#SBATCH -o //p" $n/script); log=${{log//%J/$n}}
if [ -e fails ]; then touch $n/ended; echo no module of this name > "$log"; fi
if [ -e starts ]; then setsid bash $n/script > $n/out 2>&1 < /dev/null & echo $! > $n/pid; fi
echo "Submitted job $n"
"""
    cancel = f"""#!/bin/bash
touch {folder}/$1/ended
if [ -e {folder}/$1/pid ]; then kill -- -$(cat {folder}/$1/pid) 2>/dev/null; fi
exit 0
"""
    left = f'cd {folder}; for n in [0-9]*; do if [ -e "$n" ] && [ ! -e $n/ended ]; then echo "{{}}"; fi; done\n'
    programs = {
        **dict.fromkeys(("sbatch", "qsub", "bsub"), submit),
        **dict.fromkeys(("scancel", "qdel", "bkill"), cancel),
        "squeue": "#!/bin/bash\n" + left.format("$n|PENDING|Resources"),
        "qstat": "#!/bin/bash\n" + left.format("$n 0.5 dask-worke me qw 11/28/2026 02:00:00 1"),
    }
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def relion_particles(path, columns, *, optics=None, n=1):
    """Write a RELION data STAR: columns by label, each a list, or one value for all of `n` rows; optics by label."""
    lines = []
    if optics is not None:
        lines += ["data_optics", "", "loop_", *(f"_{label}" for label in optics), " ".join(map(str, optics.values()))]
    lines += ["", "data_particles" if optics is not None else "data_", "", "loop_", *(f"_{label}" for label in columns)]
    values = [value if isinstance(value, list) else [value] * n for value in columns.values()]
    lines += [" ".join(map(str, row)) for row in zip(*values, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, "", ""]), encoding="utf-8")
    return path


def cryosparc_particles(path, fields):
    """Write a `.cs` file of these fields, each an array of (n,) or (n, 2); texts become bytes."""
    arrays = {name: np.asarray(values) for name, values in fields.items()}
    arrays = {name: array.astype("S") if array.dtype.kind == "U" else array for name, array in arrays.items()}
    n = len(next(iter(arrays.values())))
    table = np.zeros(n, [(name, array.dtype, array.shape[1:]) for name, array in arrays.items()])
    for name, array in arrays.items():
        table[name] = array
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.save(file, table, allow_pickle=False)
    return path
