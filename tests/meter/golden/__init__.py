"""The golden table: calls as they come over the wire, and what they must be told to have used and cost.

Costs are figured by hand from the public prices, which each module names.
"""

from __future__ import annotations

from tests.meter.golden.case import LATE_2026, OVERRIDES, PRICED, Case, answer, usage
from tests.meter.golden.counted import COUNTED
from tests.meter.golden.google import GOOGLE
from tests.meter.golden.kinds import KINDS
from tests.meter.golden.pictures import PICTURES
from tests.meter.golden.tiers import OVERRIDDEN, TIERS
from tests.meter.golden.totals import REPORTED
from tests.meter.golden.unknown import FREE, UNKNOWN, WRONG

__all__ = ["CASES", "LATE_2026", "OVERRIDES", "PRICED", "Case", "answer", "usage"]

CASES = [*REPORTED, *KINDS, *PICTURES, *GOOGLE, *FREE, *TIERS, *OVERRIDDEN, *COUNTED, *WRONG, *UNKNOWN]
