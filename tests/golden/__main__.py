from domain.contexts import EVENTS
from eventstore.catalogue import Catalogue
from tests.golden import write_missing

for path in write_missing(Catalogue(EVENTS)):
    print(path)
