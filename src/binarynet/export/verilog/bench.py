"""The test bench of a design, and the vectors that it reads: images, and what the oracle answers to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.export.emit import line_comments, provenance, put
from binarynet.export.verilog import tables
from binarynet.export.verilog.instances import class_bits
from binarynet.export.verilog.options import Options
from binarynet.export.verilog.roms import handed, header
from binarynet.export.verilog.units import Design
from binarynet.graph.interpret import trace


def expected(design: Design, codes: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The oracle's integers of the last layer (n, classes), and its classes (n,), by float32 logits if it has some."""
    values = trace(design.graph, codes)
    integers: NDArray[np.int32] = values[design.last.name]
    return integers, values[design.graph.output.name].argmax(axis=1)


def write_vectors(design: Design, folder: Path, api: str, codes: NDArray[Any]) -> list[Path]:
    """NAME_images.hex, a word of the input a line, in pieces of 32 bits, the lowest first (simulators disagree on wider
    ones in $fscanf); NAME_expected.hex, class and integers of an image a line."""
    stream = design.input
    height, width, channels = stream.shape
    words = -(-channels // stream.lanes)
    padded = np.zeros((len(codes), height * width, words * stream.lanes), np.uint8)
    padded[:, :, :channels] = codes.reshape(len(codes), height * width, channels)
    lanes = padded.reshape(-1, stream.lanes)
    bits = (lanes[..., None] >> np.arange(stream.digits, dtype=np.uint8)) & 1 == 1
    images = [" ".join(pieces(word)) for word in tables.hexadecimal(bits.reshape(len(lanes), -1))]
    integers, classes = expected(design, codes)
    wide = tables.logit_bits(design.last)
    answers = np.array(tables.numbers(integers.reshape(-1).astype(np.int64), wide), object).reshape(integers.shape)
    lines = [" ".join([f"{number:x}", *row]) for number, row in zip(classes, answers, strict=True)]
    return [
        put(folder, f"{api}_images.hex", "".join(f"{word}\n" for word in images)),
        put(folder, f"{api}_expected.hex", "".join(f"{line}\n" for line in lines)),
    ]


def pieces(word: str) -> list[str]:
    """A number of hexadecimal digits in pieces of eight, the lowest first."""
    return [word[max(0, end - 8) : end] for end in range(len(word), 0, -8)]


def bench(design: Design, options: Options) -> str:
    """NAME_tb.v."""
    api, last = options.api, design.last
    head = [
        f"Runs {api} on the images of {api}_images.hex and compares every integer and every class with",
        f"{api}_expected.hex. The last line says PASS or FAIL; it comes after a bounded number of clocks.",
        "",
        f"    $ iverilog -g2005 -y . -s {api}_tb -o {api}_tb {api}_tb.v && vvp {api}_tb",
        f"    $ verilator --binary --top-module {api}_tb {api}_tb.v && obj_dir/V{api}_tb",
        "",
        "+stalls: the input pauses, in up to 95 % of the clocks, and the reader holds each answer for up to three",
        "images' time, the first until every unit is full. +resets: resets at random moments, and begins again.",
        "+answers: prints class and integers of each image. +vcd: writes what every wire does to a file for gtkwave.",
        "",
        *provenance(design.graph, options),
    ]
    beats = design.input.pixels * -(-design.input.shape[2] // design.input.lanes)
    sizes = {
        "width": design.input.lanes * design.input.digits,
        "beats": beats,
        "classes": last.channels,
        "logit": tables.logit_bits(last),
        "class": class_bits(design),
        "interval": design.interval,
        # Images' time after which no unit can take more.
        "full": 200 if design.flows else 2 * len(design.units) + 4,
        # More clocks than a design that works takes for one image, pauses included.
        "patience": 25 * beats + (2 * len(design.units) + 8) * (design.interval + 100) + 2000,
    }
    text = _BENCH.replace("<api>", api).replace("<handed>", handed(options.rom_path))
    text = text.replace("<header>", f" {header(options.rom_path)}".rstrip())
    text = text.replace("<with its class>", _ABREAST if design.flows else "")
    text = text.replace("<before its class>", "" if design.flows else _ONE_BY_ONE)
    text = text.replace("<logits>", "[CLASSES*<logit>-1:0]" if design.flows else "signed [<logit - 1>:0]")
    for key, size in sizes.items():
        text = text.replace(f"<{key}>", str(size)).replace(f"<{key} - 1>", str(size - 1))
    return line_comments(head) + text


_ONE_BY_ONE = """\
            if (logit_valid) begin  // while the class goes out, the next image's first integer may come
                if (seen < CLASSES) logits[seen] = logit;
                seen = seen + 1;
                idle = 0;
            end
"""
_ABREAST = """\
                for (k = 0; k < CLASSES; k = k + 1) logits[k] = logit[<logit>*k+:<logit>];
                seen = logit_valid ? CLASSES : 0;
"""
_BENCH = """module <api>_tb<header>;
    localparam BEATS = <beats>;  // words of an image
    localparam CLASSES = <classes>;
    localparam PIECES = (<width> + 31) / 32;  // of a word
    localparam INTERVAL = <interval>;  // clocks from image to image
    localparam FULL = <full>;  // images that the units can hold between them
    localparam PATIENCE = <patience>;  // clocks that an image may take

    reg clk = 1'b0;
    reg reset = 1'b1;
    reg in_valid = 1'b0;
    reg [<width - 1>:0] in_data = 0;
    reg out_ready = 1'b0;
    wire in_ready, logit_valid, out_valid;
    wire <logits> logit;
    wire [<class - 1>:0] out_class;

    <api> <handed>dut (
        .clk(clk), .reset(reset), .in_valid(in_valid), .in_ready(in_ready), .in_data(in_data),
        .logit_valid(logit_valid), .logit(logit), .out_valid(out_valid), .out_ready(out_ready), .out_class(out_class)
    );

    always #5 clk = !clk;

    reg stalls, answers;
    integer images, expected, seed, code;
    integer beat, seen, wrong, right, clocks, start, first_out, last_out, idle;
    integer resets, until_reset, hold, gap, level;
    reg [32*PIECES-1:0] word;
    reg [31:0] piece;
    reg [<class - 1>:0] wanted_class, held_class;
    reg signed [<logit - 1>:0] wanted;
    reg signed [<logit - 1>:0] logits[0:CLASSES-1];
    reg more, loaded, offered, equal, held, failed;
    integer k;

    // A number from 0 to below `size`.
    function integer chance;
        input integer size;
        chance = $unsigned($random(seed)) % size;
    endfunction

    task fail;
        input integer why;
        begin
            case (why)
                1: $display("FAIL: in_ready, out_valid or logit_valid is unknown");
                2: $display("FAIL: in_ready or out_valid is 1 in reset");
                3: $display("FAIL: a class changed or went before it was taken");
                4: $display("FAIL: more classes than images");
                default: $display("FAIL: %0d clocks for %0d images", clocks, right + wrong);
            endcase
            failed = 1'b1;
            $finish;
        end
    endtask

    task begin_again;
        begin
            images = $fopen("<api>_images.hex", "r");
            expected = $fopen("<api>_expected.hex", "r");
            if (images == 0 || expected == 0) begin
                $display("FAIL: <api>_images.hex or <api>_expected.hex is not here");
                $finish;
            end
            beat = 0;
            seen = 0;
            wrong = 0;
            right = 0;
            clocks = 0;
            start = 0;
            first_out = 0;
            last_out = 0;
            idle = 0;
            hold = stalls ? FULL * INTERVAL : 0;
            level = 0;
            loaded = 1'b0;
            offered = 1'b0;
            more = 1'b1;
            held = 1'b0;
            in_valid = 1'b0;
            in_data = {<width>{1'bx}};
            out_ready = 1'b0;
        end
    endtask

    initial begin
        stalls = $test$plusargs("stalls") != 0;
        answers = $test$plusargs("answers") != 0;
        seed = 1;
        failed = 1'b0;
        resets = $test$plusargs("resets") != 0 ? 3 : 0;
        if ($test$plusargs("vcd") != 0) begin
            $dumpfile("<api>.vcd");
            $dumpvars(0, <api>_tb);
        end
        begin_again;
        until_reset = 1 + chance(2 * INTERVAL + BEATS);
        repeat (4) @(negedge clk);
        reset = 1'b0;
    end

    // What is driven changes at the falling edge, so that at the rising one everybody sees the same.
    always @(negedge clk)
        if (resets > 0 && until_reset == 0) begin
            reset = 1'b1;
            $fclose(images);
            $fclose(expected);
            begin_again;
            resets = resets - 1;
            until_reset = 1 + chance(3 * INTERVAL + BEATS);
            in_valid = 1'b1;  // nothing may be taken now
            repeat (1 + chance(3)) @(negedge clk);
            in_valid = 1'b0;
            reset = 1'b0;
        end else if (!reset) begin
            if (!loaded && more) begin
                for (k = 0; k < PIECES; k = k + 1) begin
                    code = $fscanf(images, "%h", piece);
                    word[32*k+:32] = piece;
                    more = more && code == 1;
                end
                loaded = more;
                if (beat % BEATS == 0)  // another pace for each image: 0, 5, 50, 75, 90 or 95 % pauses
                    case (chance(6))
                        0: level = 0;
                        1: level = 5;
                        2: level = 50;
                        3: level = 75;
                        4: level = 90;
                        default: level = 95;
                    endcase
            end
            // What is offered stays until it is taken.
            in_valid = loaded && (offered || !stalls || chance(100) >= level);
            offered = in_valid;
            in_data = in_valid ? word[<width - 1>:0] : {<width>{1'bx}};
            out_ready = hold == 0;
        end

    always @(posedge clk)
        if (reset) begin
            if (in_ready !== 1'b0) fail(2);
        end else begin
            clocks = clocks + 1;
            idle = idle + 1;
            until_reset = until_reset - (until_reset > 0 ? 1 : 0);
            if (hold > 0) hold = hold - 1;
            if ((in_ready ^ out_valid ^ logit_valid) === 1'bx) fail(1);
            if (clocks == 1 && out_valid) fail(2);
            if (held && (!out_valid || out_class !== held_class)) fail(3);
            held = out_valid && !out_ready;
            held_class = out_class;
            if (in_valid && in_ready) begin
                if (beat == 0) start = clocks;
                beat = beat + 1;
                loaded = 1'b0;
                offered = 1'b0;
                idle = 0;
            end
            if (out_valid && out_ready) begin
                idle = 0;
<with its class>                code = $fscanf(expected, "%h", wanted_class);
                if ((right + wrong + 1) * BEATS > beat) fail(4);
                equal = code == 1 && seen == CLASSES && out_class === wanted_class;
                for (k = 0; k < CLASSES; k = k + 1) begin
                    code = $fscanf(expected, "%h", wanted);
                    equal = equal && code == 1 && logits[k] === wanted;
                end
                if (answers && resets == 0) begin
                    $write("ANSWER %0d", out_class);
                    for (k = 0; k < CLASSES; k = k + 1) $write(" %0d", logits[k]);
                    $write("\\n");
                end
                if (!equal) begin
                    wrong = wrong + 1;
                    if (wrong <= 5)
                        $display("image %0d: class %0d, wanted %0d", right + wrong - 1, out_class, wanted_class);
                end else right = right + 1;
                if (right + wrong == 1) first_out = clocks - start;
                if (right + wrong == 1) start = clocks;
                last_out = clocks;
                seen = 0;
                if (stalls) hold = chance(2) == 0 ? 0 : chance(3 * INTERVAL + 1);
            end
<before its class>            if (clocks > PATIENCE * (right + wrong + 2)) fail(5);
            if (resets == 0 && ((!loaded && !more && (right + wrong) * BEATS == beat) || idle > PATIENCE)) begin
                code = $fscanf(expected, "%h", wanted_class);  // nothing may be left
                if (right + wrong > 1)
                    $display("CLOCKS %0d to the first class, %0d from one image to the next",
                        first_out, (last_out - start) / (right + wrong - 1));
                if (wrong == 0 && right > 0 && code != 1 && !failed) $display("PASS %0d images", right);
                else $display("FAIL %0d of %0d images, or answers are missing", wrong, right + wrong);
                $finish;
            end
        end
endmodule
"""
