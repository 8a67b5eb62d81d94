"""Workloads made up from a seed: latencies as services have them, and the truth about what went wrong in them.

Detectors are judged by what they find in data whose truth is known, and history seldom comes with labels. A workload
says which operations there are, how their latencies are spread (`families`), what the clock does to them (`seasons`)
and what befalls them (events). `rows` yields metrics in order of time, each with its cause; `store` copies them into
pggit.performance_metrics and returns the labels, `labels.dumps` and `labels.loads` are their file format, and `fleets`
has workloads ready for use. Only the standard library's random numbers are used: the same seed gives the same rows.

    workload = fleets.everyday(seed=7, start=datetime(2026, 1, 5), days=14)
    truth = store(connection, workload)
    file.writelines(labels.dumps(each) + os.linesep for each in truth)
"""

from pggit_alertd.workload.generation import rows
from pggit_alertd.workload.model import Event, Kind, Label, Operation, Row, Workload
from pggit_alertd.workload.storage import fill, store

__all__ = ["Event", "Kind", "Label", "Operation", "Row", "Workload", "fill", "rows", "store"]
