"""What is kept behind the registers of an unrolled layer, and in which clock each number is there."""

from __future__ import annotations

_AT_ONCE = {6: 36, 4: 12}  # inputs of a family's tables → bits that are counted in a clock (parts/binarynet_tally.v)


def clocks(bits: int, lut: int) -> int:
    """Clocks of binarynet_tally for so many bits."""
    return 1 + (-(-bits // _AT_ONCE[lut]) - 1).bit_length()


class Registers:
    """Collects declarations of Verilog. What is kept as NAME is NAME_next one clock before."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.kept: list[tuple[str, int]] = []
        self._later: set[str] = set()

    def keep(self, name: str, bits: int, value: str | None = None) -> str:
        """A register; without a ``value`` NAME_next is declared elsewhere."""
        self.kept.append((name, bits))
        self.made.append(f"    reg [{bits - 1}:0] {name};\n")
        if value is not None:
            self.made.append(f"    wire [{bits - 1}:0] {name}_next = {value};\n")
        return name

    def later(self, name: str, bits: int, clocks: int) -> str:
        """A number as it was some clocks before."""
        for clock in range(1, clocks + 1):
            before, held = f"{name}_{clock - 1}_later" if clock > 1 else name, f"{name}_{clock}_later"
            if held not in self._later:
                self._later.add(held)
                self.keep(held, bits, before)
        return f"{name}_{clocks}_later" if clocks else name

    def text(self, valid: list[str], codes: str) -> str:
        """All registers, which stand still while the reader is not ready. ``valid``: names from the input on."""
        text = "".join(f"    reg {name};\n" for name in valid[1:]) + "\n    always @(posedge clk) begin\n"
        text += "        if (advance) begin\n"
        text += "".join(f"            {name} <= {name}_next;\n" for name, _ in self.kept)
        text += f"            out_data <= {{{codes}}};\n        end\n        if (reset) begin\n"
        text += "".join(f"            {name} <= 1'b0;\n" for name in (*valid[1:], "out_valid"))
        text += "        end else if (advance) begin\n"
        text += "".join(
            f"            {later} <= {now};\n" for now, later in zip(valid, [*valid[1:], "out_valid"], strict=True)
        )
        return text + "        end\n    end\n"
