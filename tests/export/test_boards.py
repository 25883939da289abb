"""Projects for boards: what their build systems read is there, and their programs prove the model."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from binarynet.export import TARGETS, answers, write
from binarynet.export.boards import Options
from binarynet.graph import interpret
from tests.export.building import need
from tests.export.graphs import real_input
from tests.graph.graphs import small_convnet, small_mlp

BOARDS = ("arduino", "esp-idf", "platformio", "zephyr")
STRICT = ("-O1", "-Wall", "-Wextra", "-Werror")

_ARDUINO = """
#include <stdint.h>
#include <stdio.h>
struct Port {
    void begin(long) {}
    template <typename T> void print(T value) { printf("%s", text(value)); }
    template <typename T> void println(T value) { printf("%s\\n", text(value)); }
    const char *text(const char *value) { return value; }
    char digits[24];
    const char *text(long value)
    {
        snprintf(digits, sizeof digits, "%ld", value);
        return digits;
    }
    const char *text(int value) { return text((long)value); }
    const char *text(unsigned long value) { return text((long)value); }
};
static Port Serial;
static unsigned long micros() { return 0; }
"""


def exported(target: str, folder: Path, graph=None) -> Path:
    files = write(graph or small_convnet(), target, folder, Options("digits"))
    assert sorted(files) == sorted(path for path in folder.rglob("*") if path.is_file())
    left = [path for path in files if re.search(r"(?<![A-Za-z0-9])(net|NET)_", path.read_text(encoding="utf-8"))]
    assert not left, "a name of the template is left"
    return folder


def test_boards_are_targets():
    assert set(BOARDS) <= set(TARGETS)


@pytest.mark.parametrize("target", BOARDS)
def test_the_project_answers_what_the_oracle_answers_and_leaves_no_more_files(target, tmp_path):
    need("gcc")
    graph = small_convnet()
    folder = exported(target, tmp_path)
    before = sorted(folder.rglob("*"))
    codes = np.random.default_rng(0).integers(0, 256, (9, *graph.input.shape), np.uint8)
    np.testing.assert_array_equal(
        answers(graph, target, folder, Options("digits"), codes).logits, interpret(graph, codes)
    )
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("graph", [small_convnet, lambda: real_input().graph()], ids=["bytes", "reals"])
def test_the_sketch_says_that_all_images_are_right(graph, tmp_path):
    need("gcc", "g++")
    folder = exported("arduino", tmp_path / "a", graph())
    properties = configparser.ConfigParser()
    properties.read_string("[library]\n" + (folder / "library.properties").read_text())
    library = properties["library"]
    assert (library["name"], library["includes"], library["architectures"]) == ("digits", "digits.h", "*")
    assert re.fullmatch(r"\d+\.\d+\.\d+", library["version"])
    assert all(library[key] for key in ("author", "maintainer", "sentence", "paragraph", "category"))
    sketch = folder / "examples" / "digits_test" / "digits_test.ino"
    (tmp_path / "Arduino.h").write_text(_ARDUINO.replace("\\\\n", "\\n"))
    main = tmp_path / "main.cpp"
    main.write_text(f'#include "Arduino.h"\n#include "{sketch}"\nint main() {{ setup(); loop(); }}\n')
    includes = [f"-I{folder / 'src'}", f"-I{sketch.parent}"]
    subprocess.run(["gcc", "-std=c11", *STRICT, "-c", folder / "src" / "digits.c"], cwd=tmp_path, check=True)
    subprocess.run(
        ["g++", "-std=c++11", *STRICT, *includes, main, "digits.o", "-o", "sketch"], cwd=tmp_path, check=True
    )
    done = subprocess.run([tmp_path / "sketch"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("4 of 4 right")


def test_the_library_compiles_for_an_atmega_and_its_tables_take_no_ram(tmp_path):
    need("avr-gcc")
    graph = small_mlp(features=64, hidden=32, classes=10)
    folder = exported("arduino", tmp_path, graph)
    flags = ["-mmcu=atmega328p", "-std=gnu11", "-Os", "-Wall", "-Wextra", "-Werror", "-ffunction-sections"]
    subprocess.run(["avr-gcc", *flags, "-c", "digits.c"], cwd=folder / "src", check=True)
    size = subprocess.run(["avr-size", "digits.o"], cwd=folder / "src", capture_output=True, text=True, check=True)
    text, data, bss = map(int, size.stdout.splitlines()[1].split()[:3])
    assert text > 500
    assert data == bss == 0


@pytest.mark.parametrize("target", ["zephyr", "esp-idf"])
def test_the_program_of_the_project_says_that_all_images_are_right(target, tmp_path):
    need("gcc")
    folder = exported(target, tmp_path)
    source, main = ("src", "samples/digits_test/src") if target == "zephyr" else ("components/digits", "main")
    start = tmp_path / "start.c"
    start.write_text(
        "void app_main(void);\nint main(void) { app_main(); return 0; }\n"
        if target == "esp-idf"
        else "typedef int one;\n"
    )
    includes = [f"-I{folder / source}", f"-I{folder / main}"]
    sources = [folder / source / "digits.c", folder / main / "main.c", start]
    subprocess.run(["gcc", "-std=c99", *STRICT, *includes, *sources, "-o", tmp_path / "run"], check=True)
    done = subprocess.run([tmp_path / "run"], capture_output=True, text=True, check=True)
    assert done.stdout == "4 of 4 right\n"


@pytest.mark.parametrize("target", ["zephyr", "esp-idf"])
def test_cmake_finds_the_sources_that_the_project_names(target, tmp_path):
    cmake = shutil.which("cmake", path=str(Path(sys.executable).parent)) or shutil.which("cmake")
    if not cmake:
        pytest.skip("apt-get install cmake")
    folder = exported(target, tmp_path / "project")
    inside = folder if target == "zephyr" else folder / "components" / "digits"
    script = tmp_path / "stubs.cmake"
    script.write_text(
        "set(CONFIG_DIGITS_NETWORK y)\n"
        "function(zephyr_library)\nendfunction()\nfunction(zephyr_include_directories folder)\nendfunction()\n"
        'function(zephyr_library_sources)\nmessage("SOURCES ${ARGN}")\nendfunction()\n'
        'function(idf_component_register)\ncmake_parse_arguments(A "" "" "SRCS;INCLUDE_DIRS" ${ARGN})\n'
        'message("SOURCES ${A_SRCS}")\nendfunction()\n'
        f"include({inside / 'CMakeLists.txt'})\n"
    )
    done = subprocess.run([cmake, "-P", script], capture_output=True, text=True, check=True)
    (named,) = re.findall(r"SOURCES (\S+)", done.stderr)
    assert (inside / named).is_file()


def test_yaml_files_say_what_zephyr_and_the_component_manager_ask_for(tmp_path):
    yaml = pytest.importorskip("yaml")
    folder = exported("zephyr", tmp_path / "z")
    module = yaml.safe_load((folder / "zephyr" / "module.yml").read_text())
    assert module["name"] == "digits"
    assert all((folder / module["build"][key]).exists() for key in ("cmake", "kconfig"))
    assert "config DIGITS_NETWORK" in (folder / "Kconfig").read_text()
    sample = folder / "samples" / "digits_test"
    assert (sample / "prj.conf").read_text() == "CONFIG_DIGITS_NETWORK=y\n"
    harness = yaml.safe_load((sample / "sample.yaml").read_text())["tests"]["sample.digits"]["harness_config"]
    assert re.search(harness["regex"][0], "4 of 4 right")
    idf = exported("esp-idf", tmp_path / "e")
    manifest = yaml.safe_load((idf / "components" / "digits" / "idf_component.yml").read_text())
    assert manifest["dependencies"]["idf"] == ">=4.4"


def test_the_platformio_program_and_library(tmp_path):
    need("gcc", "g++")
    folder = exported("platformio", tmp_path)
    library = folder / "lib" / "digits"
    manifest = json.loads((library / "library.json").read_text())
    assert (manifest["name"], manifest["headers"]) == ("digits", "digits.h")
    subprocess.run(["gcc", "-std=c11", *STRICT, "-c", library / "src" / "digits.c"], cwd=tmp_path, check=True)
    command = [
        "g++",
        "-std=c++11",
        *STRICT,
        f"-I{library / 'src'}",
        folder / "src" / "main.cpp",
        "digits.o",
        "-o",
        "run",
    ]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "run"], capture_output=True, text=True, check=True).stdout == "4 of 4 right\n"


def test_platformio_takes_the_library_and_the_project(tmp_path):
    pio = shutil.which("pio")
    if not pio:
        pytest.skip("pip install platformio")
    folder = exported("platformio", tmp_path / "project")
    subprocess.run([pio, "pkg", "pack", folder / "lib" / "digits", "-o", tmp_path / "digits.tar.gz"], check=True)
    assert (tmp_path / "digits.tar.gz").stat().st_size > 500
    lint = subprocess.run(
        [pio, "project", "config", "--lint", "-d", folder], capture_output=True, text=True, check=True
    )
    assert "free from linting errors" in lint.stdout
