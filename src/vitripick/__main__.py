"""Run the command line as `python -m vitripick`, for this very Python."""

from vitripick.cli.app import main

if __name__ == "__main__":
    main()
