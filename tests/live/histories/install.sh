#!/usr/bin/env bash
# Nothing to install: these histories need no other program, only time.
