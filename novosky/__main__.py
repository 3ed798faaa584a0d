"""`python -m novosky`: the console command where no script folder is on the path."""

from novosky.cli.main import main

if __name__ == "__main__":
    main()
