"""Unrolled layers: constant weights in gates; one window or one vector a clock. See docs/circuits.md."""
