from tests.bench.bench import main

main()
