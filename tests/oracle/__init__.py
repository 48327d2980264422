"""What the pipeline should say, recomputed from whole logs in the plainest way: read, sort, count.

It shares no code with stream/core or stream/pipeline; events are read with the pydantic models of the
contract. Times are ms since the epoch. Sessions long enough to be `overlong` are outside of it.
"""
