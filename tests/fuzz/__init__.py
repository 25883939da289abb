"""Files and graphs that nobody wrote: whatever they hold, the answer is right, or an error of this package.

``python -m tests.fuzz --seconds 600`` (``make fuzz SECONDS=600``) runs every target for its share of the time; the
tests run each a fixed number of times. A *target* makes an input from a seed, bytes that stand for themselves, and
tries it. What once failed is kept in ``corpus/TARGET`` and tried by the tests on every commit.
"""
