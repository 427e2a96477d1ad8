"""Which files of a labelled set are used, and what is said about the others."""

import shutil
from pathlib import Path

from vitripick.images import Preparation
from vitripick.training.data import load_training_data


def test_a_micrograph_whose_labels_are_not_understood_is_not_said_to_have_none(labelled_set, short, caplog):
    labels = Path(labelled_set.labels)
    (labels / "disc3.csv").write_text("x;y;width;height\n104,62;8,38;27;27\n")
    data = load_training_data([labelled_set], short, Preparation(working_diameter_px=16))
    assert data.split[0]["without_labels"] == ["disc3.mrc"]
    assert "not used, because their labels were not read: 1 of 4 micrographs (disc3.mrc)" in caplog.text
    assert "they have no labels" not in caplog.text
    assert "with commas" in caplog.text


def test_micrographs_without_labels_are_one_line_with_a_count(labelled_set, short, caplog):
    for seed in range(2, 10):
        shutil.copy(Path(labelled_set.micrographs) / "disc0.mrc", Path(labelled_set.micrographs) / f"more{seed}.mrc")
        shutil.copy(Path(labelled_set.labels) / "disc0.csv", Path(labelled_set.labels) / f"other{seed}.csv")
    load_training_data([labelled_set], short, Preparation(working_diameter_px=16))
    bare = [record.message for record in caplog.records if "have no labels" in record.message]
    named = "more2.mrc, more3.mrc, more4.mrc, more5.mrc, more6.mrc and 3 more"
    assert bare == [f"not used, because they have no labels: 8 of 12 micrographs ({named})"]
    (strangers,) = [record.message for record in caplog.records if "labels without a micrograph" in record.message]
    assert ", not used: 8 (other2, other3" in strangers


def test_one_image_of_each_exposure_trains_unless_more_are_included(labelled_set, short, caplog):
    for path in list(Path(labelled_set.micrographs).glob("*.mrc")):
        shutil.copy(path, path.with_name(f"{path.stem}_DW.mrc"))
        shutil.copy(path, path.with_name(f"{path.stem}_PS.mrc"))
    data = load_training_data([labelled_set], short, Preparation(working_diameter_px=16))
    used = {sample.name for sample in [*data.training, *data.validation]}
    assert used == {f"disc{i}_DW.mrc" for i in range(4)}
    assert "8 derived images passed by" in caplog.text
    included = labelled_set.model_copy(update={"include": ("_PS.mrc",)})
    data = load_training_data([included], short, Preparation(working_diameter_px=16))
    assert len(data.split[0]["without_labels"]) == 4
