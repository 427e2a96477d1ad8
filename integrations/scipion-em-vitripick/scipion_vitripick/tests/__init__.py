# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the protocols with Scipion itself and with vitripick, which must be installed (README.md says how)."""
