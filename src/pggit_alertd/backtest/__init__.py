"""A past period replayed through detectors and routing: how many alerts and messages it would have been, and how good.

`replay` asks the detectors as of past moments (`detectors`), merges what they find into alerts (`episodes`), lets the
database route these as it would (sql/queries/backtest_routing.sql), counts messages (`messages`), judges alerts where
the truth is known (`accuracy`), and adds it up (`report`). Nothing is written and nothing is sent.
"""

from pggit_alertd.backtest.model import Period, Raised, Thresholds
from pggit_alertd.backtest.replay import Request, replay

__all__ = ["Period", "Raised", "Request", "Thresholds", "replay"]
