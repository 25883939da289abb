"""Ctrl-C and SIGTERM: every verb ends in one line with the exit code that shells know; training says how to go on."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from binarynet.cli import main, verbs

SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}
TRAIN = ["train", "bnn-digits", "--set", "width=32", "--epochs", "4000", "--threads", "1"]


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "binarynet.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # which a job in the background ignores
    )


@pytest.mark.parametrize("number", SIGNALS)
def test_training_that_is_stopped_says_how_to_go_on_and_can(number, tmp_path):
    process = start(*TRAIN, "--out", tmp_path / "run")
    for line in process.stderr:
        if line.startswith("epoch 2/"):
            process.send_signal(number)
            break
    said = process.communicate(timeout=60)[1].splitlines()
    assert process.returncode == SIGNALS[number]
    assert "--resume goes on with" in said[-1]
    assert "Traceback" not in "".join(said)
    if number == signal.SIGTERM:  # once is enough
        process = start(*TRAIN, "--out", tmp_path / "run", "--resume")
        assert int(process.stderr.readline().split("/")[0].removeprefix("epoch ")) > 1
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_batch_on_the_slow_oracle_is_left_within_a_step(number, tmp_path):
    np.save(tmp_path / "many.npy", np.zeros((20_000, 784), np.uint8))
    process = start("run", "mnist-small", tmp_path / "many.npy", "--engine", "oracle")
    while "many.npy" not in Path(f"/proc/{process.pid}/maps").read_text():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)  # until it reads the array
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert (process.returncode, said) == (SIGNALS[number], "binarynet: stopped\n")


STOPPED = {
    "eval digits --data digits": "binarynet.data.load_split",
    "inspect digits": "binarynet.format.load",
    "verify digits": "binarynet.format.load",
    "run digits x.npy": "binarynet.format.load",
    "export digits --to c --out x": "binarynet.format.load",
    "import x.onnx --out x.bnn": "binarynet.importer.import_onnx",
    "bench digits": "binarynet.format.load",
    "bench train bnn-digits": "binarynet.data.load",
    "bench suite --quick": "binarynet.bench.suite.run",
    "recipes": "binarynet.recipes.names",
    "lower x": "binarynet.train.load_run",
    "demo": "binarynet.data.load",
}


@pytest.mark.parametrize("command", STOPPED)
@pytest.mark.parametrize("stop", [KeyboardInterrupt, verbs.Terminated])
def test_every_verb_ends_in_one_line(stop, command, tmp_path, monkeypatch, capsys):
    def stopped(*arguments, **options):
        raise stop

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(STOPPED[command], stopped)
    assert main(command.split()) == (130 if stop is KeyboardInterrupt else 143)
    printed = capsys.readouterr()
    assert printed.err == "binarynet: stopped\n"
    assert list(tmp_path.iterdir()) == []


def test_the_handler_of_sigterm_is_given_back(capsys):
    before = signal.getsignal(signal.SIGTERM)
    assert main(["verify", "digits", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["valid"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_a_compiler_has_started_ends_with_us(tmp_path):
    from binarynet.export.process import finished

    def stop(*ignored):
        if (tmp_path / "child").exists():  # else it has not started anything yet: at the next tick
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            finished(["sh", "-c", "sleep 600 & echo $! > started; mv started child; wait"], tmp_path)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    child = int((tmp_path / "child").read_text())
    limit = time.monotonic() + 60  # a process that was killed still runs until it is next scheduled
    while alive(child) and time.monotonic() < limit:
        time.sleep(0.01)
    assert not alive(child)


def alive(process):
    """A killed process whose parent has not yet asked for it is a zombie, which is no longer alive."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
