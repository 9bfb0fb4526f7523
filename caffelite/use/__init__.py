"""What is done with a net that runs: it is timed, tested, asked, looked into."""
