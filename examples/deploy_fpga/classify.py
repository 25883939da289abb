"""Sends images over the serial line to a board that was built here, and prints its classes beside the model's.

    python examples/deploy_fpga/classify.py /dev/ttyUSB1 MODEL.bnn [--data digits] [--images 10] [--baud 115200]

An image is its codes, a byte each, in the order height, width, channels. The answer is one byte: the class, or 255
where the board lost a byte. Needs Linux or macOS, whose terminals Python sets up itself.
"""

from __future__ import annotations

import argparse
import os
import select
import termios
import tty

import numpy as np

from binarynet.data import load_split
from binarynet.errors import InputError, run_script
from binarynet.format import load
from binarynet.graph import Encoding, interpret
from binarynet.runtime.images import adapt

BROKEN = 255


def opened(port: str, baud: int) -> int:
    """The line as a file without any translation. What was left on it is thrown away.

    Raises:
        InputError: there is no such port, it is no serial line, or it has no such speed.
    """
    speed = getattr(termios, f"B{baud}", None)
    if speed is None:
        raise InputError(f"--baud {baud}: serial lines have no such speed. The boards of this folder have 115200.")
    try:
        line = os.open(port, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(line)
        settings = termios.tcgetattr(line)
        settings[4] = settings[5] = speed
        termios.tcsetattr(line, termios.TCSANOW, settings)
        termios.tcflush(line, termios.TCIOFLUSH)
    except (OSError, termios.error) as error:
        raise InputError(
            f"{port}: {error.args[-1]}. Give the board's serial port; `ls /dev/ttyUSB*` shows those there are, and "
            "`dmesg` which one came when the board was plugged in."
        ) from None
    return line


def ask(line: int, image: bytes, seconds: float = 5.0) -> int:
    """The board's answer to one image.

    Raises:
        InputError: none came, or the board was unplugged.
    """
    try:
        sent = 0
        while sent < len(image):
            sent += os.write(line, image[sent:])
        answer = os.read(line, 1) if select.select([line], [], [], seconds)[0] else b""
    except OSError as error:
        raise InputError(f"the serial line is gone: {error.strerror}") from None
    if not answer:
        raise InputError(f"no answer to {len(image)} bytes in {seconds:g} s: is it this port, this net, this speed?")
    return answer[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port")
    parser.add_argument("model")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--data-dir", default=None)
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--baud", type=int, default=115200)
    given = parser.parse_args()
    if given.images < 1:
        raise InputError(f"--images {given.images}: give 1 or more.")
    graph = load(given.model)
    images = load_split(given.data, "test", given.data_dir).images[: given.images]
    codes = adapt(images, graph.input.shape, Encoding.parse(graph.input.encoding))
    wanted = interpret(graph, codes).argmax(axis=1)
    line = opened(given.port, given.baud)
    right = 0
    for number, (image, class_) in enumerate(zip(codes, wanted, strict=True)):
        answer = ask(line, np.ascontiguousarray(image, np.uint8).tobytes())
        said = "broken: the board lost a byte" if answer == BROKEN else f"class {answer}"
        print(f"image {number}: {said}; the model says {class_}")
        right += answer == class_
    os.close(line)
    print(f"{right} of {len(codes)} as the model says")
    raise SystemExit(right != len(codes))


if __name__ == "__main__":
    run_script(main)
