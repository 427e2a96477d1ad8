"""Pick what arrives in a folder, in a loop of your own: python examples/facility_loop.py FOLDER OUT DIAMETER_PX

`vitripick watch` does this and more. A loop of your own is for facilities that move files, fill a database or stop the
microscope. The model stays loaded; a bad micrograph stops nothing; what is done is not done again after a restart.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from vitripick import load_model
from vitripick.runs import FolderPicker, PickSettings

QUIET_SECONDS = 5  # A file that has not grown for this long is complete.


def main(folder: str, out: str, diameter_px: float, *, go_on: Callable[[int], bool] = lambda done: True) -> int:
    """Pick new micrographs as long as `go_on` of the number done says so; return this number."""
    picker = FolderPicker(out, load_model("general"), PickSettings(diameter_px=diameter_px, formats=("star",)))
    seen: set[Path] = set()
    while go_on(len(seen)):
        for path in sorted(Path(folder).glob("*.mrc")):
            if path not in seen and time.time() - path.stat().st_mtime > QUIET_SECONDS:
                outcome = picker.attempt_path(path)
                print(json.dumps(outcome.to_dict()))  # Here goes your database, or your message to the user.
                seen.add(path)
        time.sleep(0.2)
    return len(seen)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
