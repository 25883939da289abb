"""`fit` is open: callbacks, loggers, what to do with a run that is there, a teacher, clipped gradients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging
from lightning.pytorch.loggers import CSVLogger

from binarynet.data import DataSet
from binarynet.errors import TrainingError
from binarynet.train import evaluate, fit, load_run
from binarynet.train.checkpoint import read_best
from tests.train.tiny import Tiny


def run(recipe: Tiny, data: DataSet, out: Path, **how: Any) -> Any:
    return fit(recipe, data, out, progress=False, threads=1, **how)


def weights(out: Path) -> dict[str, torch.Tensor]:
    return read_best(out / "checkpoints" / "best.ckpt")["model"]  # type: ignore[no-any-return]


def same(first: Path, second: Path) -> bool:
    one, other = weights(first), weights(second)
    return all(torch.equal(one[name], other[name]) for name in one)


class Stop(Callback):
    """Ends the run after an epoch, as a kill would."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        if trainer.current_epoch == self.epoch:
            raise KeyboardInterrupt


def test_a_callback_sees_every_epoch_and_a_logger_every_row(data: DataSet, tmp_path: Path) -> None:
    seen = []

    class Count(Callback):
        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            seen.append(float(trainer.callback_metrics["validation_error"]))

    run(Tiny(), data, tmp_path / "run", callbacks=[Count()], logger=CSVLogger(tmp_path / "log"))
    rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("validation_error")
    assert seen == pytest.approx([float(row.split(",")[column]) for row in rows[1:]], rel=1e-4)
    logged = next((tmp_path / "log").rglob("metrics.csv")).read_text()
    assert "flip_ratio" in logged.splitlines()[0]
    assert len(logged.splitlines()) == 1 + len(seen)
    assert "lr_start" in next((tmp_path / "log").rglob("hparams.yaml")).read_text()


def test_early_stopping_ends_a_run_with_a_result(data: DataSet, tmp_path: Path) -> None:
    stop = EarlyStopping("validation_error", stopping_threshold=200.0)  # the first epoch is good enough
    run(Tiny(), data, tmp_path, callbacks=[stop])
    assert json.loads((tmp_path / "result.json").read_text())["epochs"] == 1


def test_averaged_weights_are_validated_and_kept_and_a_resume_stays_exact(data: DataSet, tmp_path: Path) -> None:
    def averaged() -> list[Callback]:
        return [EMAWeightAveraging(decay=0.9)]

    whole = run(Tiny(), data, tmp_path / "whole", callbacks=averaged())
    run(Tiny(), data, tmp_path / "plain")
    assert not same(tmp_path / "whole", tmp_path / "plain")
    _, model = load_run(tmp_path / "whole", Tiny())
    assert evaluate(model, data.validation, Tiny().loss).error == pytest.approx(whole.validation_error)
    with pytest.raises(KeyboardInterrupt):
        run(Tiny(), data, tmp_path / "cut", callbacks=[*averaged(), Stop(2)])
    run(Tiny(), data, tmp_path / "cut", callbacks=averaged(), resume=True)
    assert same(tmp_path / "whole", tmp_path / "cut")


def test_what_becomes_of_a_run_that_is_there_is_said(data: DataSet, tmp_path: Path) -> None:
    run(Tiny(), data, tmp_path / "run", exist="resume")  # none is there: it begins
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(TrainingError, match="already holds a run"):
        run(Tiny(), data, tmp_path / "run")
    with pytest.raises(TrainingError, match="exist='replace' is not known"):
        run(Tiny(), data, tmp_path / "run", exist="replace")
    run(Tiny(), data, tmp_path / "run", exist="resume")
    with pytest.raises(TrainingError, match="Give one of them"):
        run(Tiny(), data, tmp_path / "run", exist="overwrite", resume=True)
    other = run(Tiny(epochs=1, full_epochs=2), data, tmp_path / "run", exist="overwrite")
    assert other.best_epoch == 1
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_a_run_of_before_that_says_nothing_of_gradients_goes_on(data: DataSet, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(Tiny(), data, tmp_path, callbacks=[Stop(2)])
    config = json.loads((tmp_path / "config.json").read_text())
    del config["gradients"], config["teacher"]
    for name in ("teacher", "teacher_share", "temperature", "gradient_clip"):
        del config["settings"][name]
    (tmp_path / "config.json").write_text(json.dumps(config))
    run(Tiny(), data, tmp_path, resume=True)
    assert (tmp_path / "result.json").exists()


def test_a_teacher_is_learnt_from_and_no_part_of_the_student(data: DataSet, tmp_path: Path, monkeypatch: Any) -> None:
    from binarynet import recipes

    teacher = Tiny(width=48)
    run(teacher, data, tmp_path / "teacher")
    monkeypatch.setattr(recipes, "_all", lambda: {"Tiny": Tiny()})
    student = Tiny(teacher=str(tmp_path / "teacher"), teacher_share=1.0)
    run(student, data, tmp_path / "student")
    run(Tiny(), data, tmp_path / "alone")
    assert not same(tmp_path / "student", tmp_path / "alone")
    assert weights(tmp_path / "student").keys() == weights(tmp_path / "alone").keys()
    _, model = load_run(tmp_path / "student")
    _, taught = load_run(tmp_path / "teacher")
    images = torch.from_numpy(data.test.images)
    agreed = (model(images).argmax(1) == taught(images).argmax(1)).float().mean()
    assert agreed > 0.7
    few = DataSet("few", data.classes[:3], *(part_of(split) for split in (data.train, data.validation, data.test)))
    with pytest.raises(TrainingError, match="it tells 4 classes of images of 1×12×12, the data has 3"):
        run(student, few, tmp_path / "other")
    with pytest.raises(TrainingError, match="Name the folder of a run"):
        run(Tiny(teacher=str(tmp_path / "nowhere")), data, tmp_path / "none")
    assert not (tmp_path / "none").exists(), "refused before anything is written"


def part_of(split: Any) -> Any:
    from binarynet.data import Split

    return Split(split.images[split.labels < 3], split.labels[split.labels < 3])


def test_what_a_run_learns_from_is_its_data_whatever_the_recipe_names(data: DataSet, tmp_path: Path) -> None:
    mine = DataSet.from_arrays(data.train.images, data.train.labels, name="mine")
    run(Tiny(epochs=1, data="digits"), mine, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["settings"]["data"] == "mine"


def test_gradients_are_clipped_under_bf16(data: DataSet, tmp_path: Path) -> None:
    for name, clip in (("free", 0.0), ("clipped", 1e-6)):
        run(Tiny(epochs=1, full_epochs=2, gradient_clip=clip), data, tmp_path / name, precision="bf16")
    assert not same(tmp_path / "free", tmp_path / "clipped")


def test_the_norm_of_all_gradients_is_at_most_the_clip(data: DataSet, tmp_path: Path) -> None:
    norms = []

    class Norms(Callback):
        def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:
            grads = [p.grad.norm() for p in module.parameters() if p.grad is not None]
            norms.append(float(torch.stack(grads).norm()))

    run(Tiny(epochs=1, full_epochs=2), data, tmp_path / "free", callbacks=[Norms()])
    assert max(norms) > 1e-4
    free, norms[:] = list(norms), []
    run(Tiny(epochs=1, full_epochs=2, gradient_clip=min(free) / 2), data, tmp_path / "clipped", callbacks=[Norms()])
    assert norms
    assert not same(tmp_path / "free", tmp_path / "clipped")


@pytest.mark.filterwarnings("ignore")  # Lightning's, which `fit` silences
def test_a_binary_net_is_a_plain_lightning_module_in_a_trainer_of_the_users_own(data: DataSet, tmp_path: Path) -> None:
    """What docs/training.md shows."""
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    shown = next(block for block in page.split("```python\n")[1:] if "LightningModule" in block).partition("```")[0]
    here: dict[str, Any] = {"data": data, "folder": str(tmp_path)}
    exec(shown, here)
    assert here["graph"].classes == ()
