"""The wire contract of latido: topics, records, headers and keys, as other programs see them.

Imports pydantic and the standard library only, so that a producer or a consumer can use it without
the rest of latido. `python -m schemas.export` writes the same contract as JSON Schema.
"""
