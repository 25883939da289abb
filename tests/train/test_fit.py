"""Whole runs on a tiny data set: what they leave behind, and that nothing they survive changes it."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import multiprocessing
import resource
import shutil
import signal
import threading
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import nn

from binarynet import recipes
from binarynet.data import DataSet
from binarynet.errors import InputError
from binarynet.nn import native
from binarynet.recipes.quick import Quick
from binarynet.train import Interrupted, Result, RunFolder, TrainingError, console, evaluate, fit, load_run
from binarynet.train.checkpoint import read, save
from tests.train import killing, tiny
from tests.train.tiny import Tiny, TinyInStages, send_at

STEPS = 12  # of an epoch


def train(
    data: DataSet,
    out: Path,
    recipe: Tiny | None = None,
    *,
    seed: int = 0,
    resume: bool = False,
    gradients: str | None = None,
) -> Result:
    return fit(recipe or Tiny(), data, out, seed=seed, resume=resume, progress=False, threads=1, gradients=gradients)


def final(out: Path) -> dict[str, torch.Tensor]:
    """All that training has computed: weights and running statistics of the last epoch, optimizer, best weights."""
    folder = RunFolder(out)
    last, best = read(folder.last), read(folder.best)
    found = {f"last.{name}": value for name, value in last["state_dict"].items()}
    found |= {f"best.{name}": value for name, value in best["model"].items()}
    for index, moments in last["optimizer_states"][0]["state"].items():
        found |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
    return found | {"best epoch": torch.tensor(best["epoch"])}


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    different = [name for name in found if not torch.equal(found[name], expected[name])]
    assert not different


def metrics(out: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv without the one column that differs from run to run."""
    rows = list(csv.DictReader(RunFolder(out).metrics.read_text(encoding="utf-8").splitlines()))
    assert all(float(row.pop("seconds")) > 0 for row in rows)
    return rows


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("uninterrupted")
    train(tiny.blobs(), out)
    return out


def test_a_run_learns_and_leaves_its_files(data: DataSet, tmp_path: Path) -> None:
    result = train(data, tmp_path, Tiny(epochs=6))
    assert result.test_error < 40  # four classes: guessing is wrong 75 % of the time
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json",
        "metrics.csv",
        "result.json",
        "checkpoints",
        "tensorboard",
    }
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"last.ckpt", "best.ckpt"}
    assert [path.name.startswith("events.out") for path in (tmp_path / "tensorboard").iterdir()] == [True]


def test_the_result_is_that_of_the_best_epoch(data: DataSet, tmp_path: Path) -> None:
    recipe = Tiny(epochs=6)
    result = train(data, tmp_path, recipe)
    rows = metrics(tmp_path)
    errors = [float(row["validation_error"]) for row in rows]
    assert result.best_epoch == max(k for k, error in enumerate(errors, 1) if error == min(errors))
    assert not result.model.training
    for split, error in ((data.validation, result.validation_error), (data.test, result.test_error)):
        assert evaluate(result.model, split, recipe.loss).error == error
    stored = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert stored["test_error"] == result.test_error
    assert stored["train_seconds"] == result.train_seconds > 0


def test_a_run_learns_augmented_images_where_its_recipe_says_so(data: DataSet, tmp_path: Path) -> None:
    """`augmented` alone: the recipe has no `augment` of its own, as most have none."""
    for augmented in (False, True):
        recipe = Quick(data="blobs", epochs=1, batch_size=20, filters=2, augmented=augmented)
        fit(recipe, data, tmp_path / str(augmented), seed=0, progress=False, threads=1)
    plain, moved = (final(tmp_path / str(augmented)) for augmented in (False, True))
    (weight,) = (name for name in plain if name.startswith("last.") and name.endswith("conv2.weight"))
    assert not torch.equal(plain[weight], moved[weight])


def test_metrics_have_a_row_an_epoch(uninterrupted: Path) -> None:
    rows = metrics(uninterrupted)
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    ratio = (3e-5 / 3e-3) ** (1 / 4)
    assert [float(row["lr"]) for row in rows] == pytest.approx([3e-3 * ratio**k for k in range(4)], rel=1e-5)
    layers = ("linear1", "classes")
    assert set(rows[0]) == {"epoch", "lr", "train_loss", "train_error", "validation_loss", "validation_error"} | {
        name for what in ("flip_ratio", "saturated") for name in (what, *(f"{what}/{layer}" for layer in layers))
    }
    assert all(0 < float(row["flip_ratio"]) < 1 and 0 < float(row["saturated"]) < 1 for row in rows)
    assert float(rows[3]["flip_ratio"]) < float(rows[0]["flip_ratio"])


def test_a_run_repeats_to_the_bit_and_other_seeds_differ(data: DataSet, tmp_path: Path, uninterrupted: Path) -> None:
    torch.rand(5)  # whatever was drawn before
    train(data, tmp_path / "again")
    assert_same(final(tmp_path / "again"), final(uninterrupted))
    assert metrics(tmp_path / "again") == metrics(uninterrupted)
    train(data, tmp_path / "other", seed=1)
    other, first = final(tmp_path / "other"), final(uninterrupted)
    assert not torch.equal(other["last.model.linear1.weight"], first["last.model.linear1.weight"])


@pytest.mark.parametrize("step", [0, 5, STEPS, 2 * STEPS + 7, 4 * STEPS - 1])
def test_ctrl_c_and_resume_end_in_the_weights_of_an_uninterrupted_run(
    data: DataSet, tmp_path: Path, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(tiny, "before_step", send_at(step, signal.SIGINT))
    with pytest.raises(Interrupted) as stopped:
        train(data, tmp_path)
    assert stopped.value.exit_code == 130
    finished = step // STEPS
    assert (f"Epoch {finished} is saved" if finished else "No epoch is finished") in str(stopped.value)
    assert "--resume" in str(stopped.value)
    assert "\n" not in str(stopped.value)
    assert signal.getsignal(signal.SIGINT) is handler
    assert not (tmp_path / "result.json").exists()

    monkeypatch.setattr(tiny, "before_step", None)
    result = train(data, tmp_path, resume=True)
    assert_same(final(tmp_path), final(uninterrupted))
    assert metrics(tmp_path) == metrics(uninterrupted)
    stored = RunFolder(uninterrupted).read_result()
    assert (result.best_epoch, result.test_error) == (stored["best_epoch"], stored["test_error"])


def test_a_run_in_stages_resumes_in_its_stage(data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second stage begins with epoch 3 by setting something that the checkpoint of epoch 3 then holds."""
    whole = train(data, tmp_path / "whole", TinyInStages())
    assert whole.best_epoch > 2
    assert whole.model.get_buffer("stage.began").item() == 2
    monkeypatch.setattr(tiny, "_steps", 0)
    monkeypatch.setattr(tiny, "before_step", send_at(3 * STEPS + 1, signal.SIGINT))
    with pytest.raises(Interrupted):
        train(data, tmp_path / "cut", TinyInStages())
    monkeypatch.setattr(tiny, "before_step", None)
    train(data, tmp_path / "cut", TinyInStages(), resume=True)
    assert_same(final(tmp_path / "cut"), final(tmp_path / "whole"))


def test_sigterm_stops_too_and_has_its_own_exit_code(
    data: DataSet, tmp_path: Path, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny, "before_step", send_at(STEPS + 3, signal.SIGTERM))
    with pytest.raises(Interrupted, match="Epoch 1 is saved") as stopped:
        train(data, tmp_path)
    assert stopped.value.exit_code == 143
    monkeypatch.setattr(tiny, "before_step", None)
    train(data, tmp_path, resume=True)
    assert_same(final(tmp_path), final(uninterrupted))


def killed(out: Path, step: int, gradients: str | None = None) -> int | None:
    """The exit code of a process of its own whose run in ``out`` is killed at a step.

    One server imports torch and Lightning, and is forked for each of them.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([killing.__name__])
    process = context.Process(target=killing.fit_until, args=(out, step, gradients))
    process.start()
    process.join(300)
    return process.exitcode


def test_kill_9_and_resume_end_in_the_weights_of_an_uninterrupted_run(
    data: DataSet, tmp_path: Path, uninterrupted: Path
) -> None:
    assert killed(tmp_path / "run", 2 * STEPS + 5) == -signal.SIGKILL
    assert [row["epoch"] for row in metrics(tmp_path / "run")] == ["1", "2"]
    train(data, tmp_path / "run", resume=True)
    assert_same(final(tmp_path / "run"), final(uninterrupted))
    assert metrics(tmp_path / "run") == metrics(uninterrupted)


@pytest.mark.skipif(native.engine is None, reason="the extension binarynet._training is not built")
@pytest.mark.parametrize("gradients", ["float32", "bf16", "int8", "4"])
def test_kill_9_and_resume_give_the_same_bytes_however_gradients_are_rounded(
    data: DataSet, tmp_path: Path, gradients: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "PRODUCTS", 0)  # no net is too small
    monkeypatch.setattr(native, "ELEMENTS", 0)
    train(data, tmp_path / "whole", gradients=gradients)
    assert killed(tmp_path / "run", 2 * STEPS + 5, gradients) == -signal.SIGKILL
    train(data, tmp_path / "run", resume=True, gradients=gradients)
    assert_same(final(tmp_path / "run"), final(tmp_path / "whole"))
    assert metrics(tmp_path / "run") == metrics(tmp_path / "whole")


def test_a_run_goes_on_with_the_gradients_it_began_with(data: DataSet, tmp_path: Path) -> None:
    train(data, tmp_path, gradients="int8")
    with pytest.raises(TrainingError, match="gradients"):
        train(data, tmp_path, resume=True, gradients="bf16")
    with pytest.raises(InputError, match="gradients=9: choose"):
        train(data, tmp_path / "other", gradients="9")


@pytest.mark.parametrize("file", ["best.ckpt", "last.ckpt"])
def test_a_run_that_dies_while_it_writes_a_checkpoint_resumes_exactly(
    data: DataSet, tmp_path: Path, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    whole = torch.save

    def save_half(state: object, path: Path) -> None:
        whole(state, path)
        if path.name.startswith(file) and tiny._steps >= 2 * STEPS:
            path.write_bytes(path.read_bytes()[:100])
            raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", save_half)
        with pytest.raises(RuntimeError, match="power cut"):
            train(data, tmp_path)
    train(data, tmp_path, resume=True)
    assert_same(final(tmp_path), final(uninterrupted))
    assert metrics(tmp_path) == metrics(uninterrupted)


def test_a_finished_run_is_not_trained_again(data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = train(data, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.setattr(tiny, "before_step", send_at(0, signal.SIGKILL))
    second = train(data, tmp_path, resume=True)
    assert dataclasses.replace(first, model=second.model) == second
    assert_same(dict(first.model.state_dict()), dict(second.model.state_dict()))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_run_that_lacks_only_its_report_is_reported(data: DataSet, tmp_path: Path, uninterrupted: Path) -> None:
    train(data, tmp_path)
    (tmp_path / "result.json").unlink()
    result = train(data, tmp_path, resume=True)
    assert result.test_error == RunFolder(uninterrupted).read_result()["test_error"]
    assert_same(final(tmp_path), final(uninterrupted))


def test_a_used_folder_and_other_settings_are_refused_before_training(data: DataSet, tmp_path: Path) -> None:
    train(data, tmp_path, Tiny(epochs=1))
    with pytest.raises(TrainingError, match="already holds a run"):
        train(data, tmp_path, Tiny(epochs=1))
    with pytest.raises(TrainingError, match="epochs was 1, now it is 2"):
        train(data, tmp_path, Tiny(epochs=2), resume=True)


def test_a_damaged_checkpoint_is_named(data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny, "before_step", send_at(STEPS, signal.SIGINT))
    with pytest.raises(Interrupted):
        train(data, tmp_path)
    last = RunFolder(tmp_path).last
    last.write_bytes(last.read_bytes()[:-1000])
    with pytest.raises(TrainingError, match=r"last\.ckpt is damaged"):
        train(data, tmp_path, resume=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_and_the_last_good_epoch_stays(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    hinge = Tiny.loss
    monkeypatch.setattr(Tiny, "loss", lambda *args: hinge(*args) * (value if tiny._steps == STEPS + 3 else 1))
    with pytest.raises(TrainingError, match=r"epoch 2, at or before step 12 of 12: the loss .* learning rate"):
        train(data, tmp_path)
    assert read(RunFolder(tmp_path).last)["epoch"] == 0  # Lightning counts from 0
    assert len(metrics(tmp_path)) == 1


def test_a_long_epoch_is_not_waited_for_when_the_loss_is_not_finite(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hinge = Tiny.loss
    monkeypatch.setattr(Tiny, "loss", lambda *args: hinge(*args) * (float("nan") if tiny._steps > 20 else 1))
    with pytest.raises(TrainingError, match="epoch 1, at or before step 50 of 125"):
        train(data, tmp_path, Tiny(batch_size=2))


def test_bf16_trains_and_is_judged_in_float32(data: DataSet, tmp_path: Path) -> None:
    recipe = Tiny(epochs=6)
    result = fit(recipe, data, tmp_path, precision="bf16", progress=False, threads=1)
    assert result.test_error < 40
    assert evaluate(result.model, data.validation, recipe.loss).error == result.validation_error
    assert {value.dtype for value in result.model.state_dict().values()} == {torch.float32, torch.int64}


def test_a_run_comes_back_as_recipe_and_model(tmp_path: Path) -> None:
    data = tiny.blobs(classes=3)
    recipe = recipes.get("bnn-digits").with_settings({"epochs": "1", "width": "16", "dropout": "0.1"})
    result = fit(recipe, data, tmp_path, progress=False, threads=1)
    found, model = load_run(tmp_path)
    assert found == recipe.with_settings({"data": "blobs"})  # what it has learnt from
    assert type(found) is type(recipe)
    assert not model.training
    assert_same(dict(model.state_dict()), dict(result.model.state_dict()))


def test_a_run_of_ones_own_recipe_needs_an_instance(uninterrupted: Path) -> None:
    with pytest.raises(TrainingError, match=r"no recipe 'Tiny'.*load_run\(out, recipe\)"):
        load_run(uninterrupted)
    recipe, _ = load_run(uninterrupted, Tiny(width=999))
    assert recipe == Tiny()


def test_a_run_without_a_finished_epoch_cannot_be_loaded(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny, "before_step", send_at(3, signal.SIGINT))
    with pytest.raises(Interrupted):
        train(data, tmp_path)
    with pytest.raises(TrainingError, match=r"best\.ckpt does not exist: no epoch that may be chosen"):
        load_run(tmp_path, Tiny())
    with pytest.raises(TrainingError, match=r"config\.json does not exist"):
        load_run(tmp_path / "nowhere")


def test_weights_of_another_model_are_named(data: DataSet, tmp_path: Path) -> None:
    train(data, tmp_path, Tiny(epochs=1))
    save({"epoch": 1, "validation_error": 0.0, "model": nn.Linear(2, 2).state_dict()}, RunFolder(tmp_path).best)
    with pytest.raises(TrainingError, match=r"best\.ckpt does not fit the model"):
        load_run(tmp_path, Tiny())


@pytest.mark.parametrize(("rate", "said"), [(1e9, 1), (3e-3, 0)])
def test_a_loss_that_runs_away_is_said_once(rate, said, data, tmp_path, capsys):
    fit(Tiny(epochs=3, full_epochs=3, lr_start=rate, lr_end=rate), data, tmp_path / "run", progress=False)
    error = capsys.readouterr().err
    assert error.count("The learning rate is too high (lr is 1e+09)") == error.count("epoch") == said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"precision": "16"}, "Choose 32 or bf16"),
        ({"seed": -1}, "seed -1"),
        ({"threads": 0}, "threads=0"),
        ({"threads": 99_999_999_999}, "threads=99999999999: 1 to 4096"),
        ({"devices": 0}, "at least 1"),
        ({"nodes": 2}, "torchrun"),
        ({"accelerator": "abacus"}, "accelerator=abacus, devices=1: "),
        ({"recipe": TinyInStages(epochs=1, first_stage=1)}, "epochs=1: the recipe lets none of them"),
        ({"recipe": Tiny(batch_size=1)}, r"Tiny cannot take a step on 1 image of .*more than 1 value"),
    ],
)
def test_arguments_that_cannot_work_are_refused_before_anything_is_written(
    data: DataSet, tmp_path: Path, arguments: dict[str, object], message: str
) -> None:
    arguments = {"recipe": Tiny(), "data": data, "out": tmp_path / "run"} | arguments
    with pytest.raises(TrainingError, match=message):
        fit(**arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_a_run_says_a_line_an_epoch_on_stderr_and_nothing_else(
    data: DataSet, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fit(Tiny(epochs=2), data, tmp_path / "told", threads=1)
    out, err = capfd.readouterr()
    assert out == ""
    assert [line.split("  ")[0] for line in err.splitlines()] == ["epoch 1/2", "epoch 2/2"]
    fit(Tiny(epochs=2), data, tmp_path / "silent", threads=1, progress=False)
    assert capfd.readouterr() == ("", "")


def test_training_works_outside_the_main_thread(data: DataSet, tmp_path: Path, uninterrupted: Path) -> None:
    thread = threading.Thread(target=train, args=(data, tmp_path))
    thread.start()
    thread.join()
    assert_same(final(tmp_path), final(uninterrupted))


def test_in_a_terminal_one_bar_counts_the_epochs(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=100, color_system=None)
    make = console.reporter
    monkeypatch.setattr(console, "reporter", lambda: make(terminal))
    fit(Tiny(epochs=2), data, tmp_path, threads=1)
    last = [line for line in screen.getvalue().splitlines() if "epoch" in line][-1]
    row = metrics(tmp_path)[-1]
    assert "epoch 2/2" in last
    assert f"validation error {float(row['validation_error']):.2f} %" in last


def test_a_last_checkpoint_of_another_network_is_named(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(data, tmp_path / "other", Tiny(epochs=1, width=8))
    monkeypatch.setattr(tiny, "before_step", send_at(tiny._steps + STEPS, signal.SIGINT))
    with pytest.raises(Interrupted):
        train(data, tmp_path / "run")
    monkeypatch.setattr(tiny, "before_step", None)
    run = RunFolder(tmp_path / "run")
    shutil.copy(RunFolder(tmp_path / "other").last, run.last)
    with pytest.raises(TrainingError, match=r"last\.ckpt is of another network: .* is 8 × 144 there, and 24 × 144"):
        train(data, tmp_path / "run", resume=True)


def test_a_checkpoint_in_the_place_of_another_is_named(data: DataSet, tmp_path: Path) -> None:
    train(data, tmp_path, Tiny(epochs=1))
    shutil.copy(RunFolder(tmp_path).last, RunFolder(tmp_path).best)
    with pytest.raises(TrainingError, match=r"best\.ckpt lacks validation_error, model: it is another checkpoint"):
        load_run(tmp_path, Tiny())


@pytest.mark.parametrize("settings", [{"width": 1.5}, {"width": 10**9}, {"width": "x"}, {"layers": None}])
def test_settings_that_make_no_network_are_named(data: DataSet, tmp_path: Path, settings: dict[str, object]) -> None:
    train(data, tmp_path, Tiny(epochs=1))
    config = RunFolder(tmp_path).config
    content = json.loads(config.read_text())
    config.write_text(json.dumps({**content, "settings": {**content["settings"], **settings}}))
    with pytest.raises(TrainingError, match=r"config\.json"):
        load_run(tmp_path, Tiny())


def test_a_disk_that_is_full_ends_a_run_in_one_line_and_the_run_goes_on(
    data: DataSet, tmp_path: Path, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file may grow beyond 5 kB from the second epoch on, which torch meets as it meets a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(step: int) -> None:
        if step == first + STEPS:
            resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))

    first = tiny._steps
    monkeypatch.setattr(tiny, "before_step", fill)
    try:
        with pytest.raises(TrainingError, match=r"ckpt cannot be written: .*make room, then go on with --resume"):
            train(data, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    monkeypatch.setattr(tiny, "before_step", None)
    train(data, tmp_path, resume=True)
    assert_same(final(tmp_path), final(uninterrupted))
