"""Run folders: make, lock, resume and find them; drive the training loop and act on its events.

record.py    run.json, read within bounds
find.py      where runs and models are
facts.py     what a run's arithmetic depends on
folder.py    a run folder, opened
speed.py     how fast this machine trains
make.py      make a run folder: encode the corpus, write down what was decided
restore.py   bring a run back to its newest good state
disk.py      write a run's files, and try again when the disk refuses them
signals.py   Unix signals: the first one stops a run tidily, the second one ends it at once
drive.py     train an opened run to its end, saving on the way
heldout.py   find the part of a corpus that a model was not trained on
"""
