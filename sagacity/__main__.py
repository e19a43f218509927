from sagacity.cli import main

main()
