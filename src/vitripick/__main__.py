"""Run the command line as `python -m vitripick`, with this Python."""

from vitripick.cli.app import main

if __name__ == "__main__":
    main()
