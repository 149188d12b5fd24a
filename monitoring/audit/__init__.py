"""Recomputes from the topics alone what the engine claims: it shares no code with what it judges.

Nothing here imports the engine, the rules or the models, not even their types: records are read as
the reference describes them, the campaigns file by ``tomllib``, the lots by their formula. So a
mistake there cannot hide itself here. One :class:`monitoring.audit.lane.Lane` per partition.
"""
