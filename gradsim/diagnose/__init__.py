"""What is wrong with a training, why, and which cure works: findings over a recording, remedies, cures, twins."""

from gradsim.diagnose.evidence import Live
from gradsim.diagnose.findings import Definition, Finding, Place, definitions, diagnose
from gradsim.diagnose.remedies import REMEDIES, Offer, Remedy, combined, offer, offers

__all__ = [
    "REMEDIES",
    "Definition",
    "Finding",
    "Live",
    "Offer",
    "Place",
    "Remedy",
    "combined",
    "definitions",
    "diagnose",
    "offer",
    "offers",
]
