from sagacity.wiring import catalogue
from tests.golden import write_missing

for path in write_missing(catalogue()):
    print(path)
