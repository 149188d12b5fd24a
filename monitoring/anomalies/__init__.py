"""Says how unlike itself a series behaves: one number per closed window, and episodes of it.

Pure: windows and times come in, verdicts and episodes go out. Whoever counts the windows, keeps
the state and publishes the episodes lives elsewhere.

A series is built from its `Kpi` by `series.build` (or `series.restored` from saved state) and
speaks by `Verdict`s; an `episodes.Tracker` beside it turns verdicts into episodes.
"""
