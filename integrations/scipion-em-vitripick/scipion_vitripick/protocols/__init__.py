# SPDX-License-Identifier: GPL-3.0-or-later
"""Offer the protocols to Scipion."""

from scipion_vitripick.protocols.protocol_filaments import ProtVitripickFilaments
from scipion_vitripick.protocols.protocol_pick import ProtVitripickPick
from scipion_vitripick.protocols.protocol_train import ProtVitripickTrain

__all__ = ["ProtVitripickFilaments", "ProtVitripickPick", "ProtVitripickTrain"]
