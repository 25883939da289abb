"""The picture of an analysis: memory, energy and repeated filters, layer by layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from binarynet.report.analysis import Analysis


def plot(analysis: Analysis, path: Path | str) -> None:
    """Write a PNG: parameters and energy per layer against float32, and the shares of unique filters.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure  # without pyplot: no window, no global state

    layers, filters = analysis.layers[::-1], analysis.filters[::-1]
    panels = 3 if filters else 2
    figure = Figure(figsize=(4.6 * panels, 1.6 + 0.32 * max(len(layers), 2 * len(filters))), layout="constrained")
    memory, energy, *rest = figure.subplots(1, panels)
    names, places = [layer.layer for layer in layers], np.arange(len(layers))
    for shift, label, costs in (
        (0.2, "float32", [layer.float32 for layer in layers]),
        (-0.2, "this network", [layer.cost for layer in layers]),
    ):
        memory.barh(places + shift, [cost.parameter_bytes for cost in costs], 0.4, label=label)
        energy.barh(places + shift, [cost.energy_pj / 1000 for cost in costs], 0.4, label=label)
    memory.set(title="parameters", xlabel="bytes", xscale="log", yticks=places, yticklabels=names)
    energy.set(title="energy of one image, 45 nm model", xlabel="nJ", xscale="log", yticks=places, yticklabels=[])
    energy.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2)
    if filters:
        places = np.arange(len(filters))
        for shift, label, shares in (
            (0.2, "different", [one.share for one in filters]),
            (-0.2, "different up to sign", [one.share_up_to_sign for one in filters]),
        ):
            rest[0].barh(places + shift, [100 * share for share in shares], 0.4, label=label)
        rest[0].set(title="2-D filters of one input channel", xlabel="%", xlim=(0, 100))
        rest[0].set(yticks=places, yticklabels=[one.layer for one in filters])
        rest[0].legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2)
    figure.savefig(path, format="png", dpi=120)
