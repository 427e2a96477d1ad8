# SPDX-License-Identifier: GPL-3.0-or-later
"""Hold the names that several modules of the plugin share."""

VITRIPICK_PROGRAM = "VITRIPICK_PROGRAM"
# The oldest vitripick whose files and options the plugin knows.
OLDEST_VITRIPICK = "0.1.0"
