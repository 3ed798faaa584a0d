"""`python -m novosky`: the console command where no script folder is on the path."""

from commands.main import main

if __name__ == "__main__":
    main()
